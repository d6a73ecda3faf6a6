/**
 * Reads the type information (BTF) that clang puts into a BPF object: just enough of it to learn the layout
 * of structs and enums. Source: Documentation/bpf/btf.rst and include/uapi/linux/btf.h of Linux.
 */

/** One enum: its enumerators in the order of declaration. */
export interface BtfEnum {
  readonly kind: "enum";
  readonly name: string;
  readonly values: readonly { readonly name: string; readonly value: number }[];
}

/** A member of a struct with arrays and typedefs resolved. */
export interface BtfField {
  readonly name: string;
  /** Bytes from the start of the struct. */
  readonly offset: number;
  /** Bytes of one element. */
  readonly size: number;
  readonly signed: boolean;
  /** Elements; 1 when it is no array. */
  readonly count: number;
  readonly isArray: boolean;
  readonly isChar: boolean;
  /** The struct or enum that an element is, if it is one. */
  readonly type: BtfStruct | BtfEnum | undefined;
}

/** One struct; `size` is in bytes, tail padding included. */
export interface BtfStruct {
  readonly kind: "struct";
  readonly name: string;
  readonly size: number;
  readonly fields: readonly BtfField[];
}

/** include/uapi/linux/btf.h: enum of BTF_KIND_*. */
const KIND = {
  INT: 1,
  PTR: 2,
  ARRAY: 3,
  STRUCT: 4,
  UNION: 5,
  ENUM: 6,
  FWD: 7,
  TYPEDEF: 8,
  VOLATILE: 9,
} as const;
const KIND_CONST = 10;
const KIND_RESTRICT = 11;
const KIND_FUNC_PROTO = 13;
const KIND_VAR = 14;
const KIND_DATASEC = 15;
const KIND_DECL_TAG = 17;
const KIND_ENUM64 = 19;

const BTF_MAGIC = 0xeb9f;
const TYPE_BYTES = 12;
const MEMBER_BYTES = 12;

/** Bytes that follow `struct btf_type`, by kind: a fixed part, and one part per element of `vlen`. */
const EXTRA_BYTES: Readonly<Record<number, readonly [fixed: number, perElement: number]>> = {
  [KIND.INT]: [4, 0],
  [KIND.ARRAY]: [12, 0],
  [KIND.STRUCT]: [0, MEMBER_BYTES],
  [KIND.UNION]: [0, MEMBER_BYTES],
  [KIND.ENUM]: [0, 8],
  [KIND_FUNC_PROTO]: [0, 8],
  [KIND_VAR]: [4, 0],
  [KIND_DATASEC]: [0, 12],
  [KIND_DECL_TAG]: [4, 0],
  [KIND_ENUM64]: [0, 12],
};

interface RawType {
  readonly name: string;
  readonly kind: number;
  readonly vlen: number;
  readonly kindFlag: boolean;
  /** `size` of sized kinds, `type` of the others: they share their bytes. */
  readonly sizeOrType: number;
  /** Offset of what follows `struct btf_type`. */
  readonly extra: number;
}

/** The structs and enums of one object, by name. */
export class Btf {
  readonly #view: DataView;
  readonly #strings: Buffer;
  readonly #types: readonly RawType[];

  private constructor(section: Buffer) {
    this.#view = new DataView(section.buffer, section.byteOffset, section.byteLength);
    if (this.#view.getUint16(0, true) !== BTF_MAGIC) throw new Error("not little-endian BTF");
    const headerBytes = this.#view.getUint32(4, true);
    const typesStart = headerBytes + this.#view.getUint32(8, true);
    const stringsStart = headerBytes + this.#view.getUint32(16, true);
    this.#strings = section.subarray(stringsStart, stringsStart + this.#view.getUint32(20, true));
    this.#types = this.#readTypes(typesStart, typesStart + this.#view.getUint32(12, true));
  }

  /** Reads the `.BTF` section of a 64-bit little-endian ELF object; throws an Error that says what is wrong. */
  static fromObject(object: Buffer): Btf {
    return new Btf(elfSection(object, ".BTF"));
  }

  /** Names of all named structs. */
  structNames(): string[] {
    return this.#types
      .filter((type) => type.kind === KIND.STRUCT && type.name !== "")
      .map((type) => type.name);
  }

  /** The struct of that name, or undefined. */
  struct(name: string): BtfStruct | undefined {
    const id = this.#types.findIndex((type) => type.kind === KIND.STRUCT && type.name === name);
    return id < 0 ? undefined : this.#struct(id);
  }

  #readTypes(start: number, end: number): RawType[] {
    const types: RawType[] = [
      { name: "void", kind: 0, vlen: 0, kindFlag: false, sizeOrType: 0, extra: start },
    ];
    for (let offset = start; offset < end; ) {
      const info = this.#view.getUint32(offset + 4, true);
      const kind = (info >>> 24) & 0x1f;
      const vlen = info & 0xffff;
      const [fixed, perElement] = EXTRA_BYTES[kind] ?? [0, 0];
      types.push({
        name: this.#string(this.#view.getUint32(offset, true)),
        kind,
        vlen,
        kindFlag: info >>> 31 === 1,
        sizeOrType: this.#view.getUint32(offset + 8, true),
        extra: offset + TYPE_BYTES,
      });
      offset += TYPE_BYTES + fixed + perElement * vlen;
    }
    return types;
  }

  #string(offset: number): string {
    return this.#strings.toString("utf8", offset, this.#strings.indexOf(0, offset));
  }

  #type(id: number): RawType {
    const type = this.#types[id];
    if (type === undefined) throw new Error(`BTF has no type ${id}`);
    return type;
  }

  #struct(id: number): BtfStruct {
    const type = this.#type(id);
    const fields: BtfField[] = [];
    for (let index = 0; index < type.vlen; index++) {
      const member = type.extra + index * MEMBER_BYTES;
      const name = this.#string(this.#view.getUint32(member, true));
      const bits = this.#view.getUint32(member + 8, true);
      if (type.kindFlag && bits >>> 24 !== 0) throw new Error(`${type.name}.${name} is a bit field`);
      fields.push(this.#field(name, (bits & 0xffffff) / 8, this.#view.getUint32(member + 4, true)));
    }
    return { kind: "struct", name: type.name, size: type.sizeOrType, fields };
  }

  #field(name: string, offset: number, typeId: number): BtfField {
    let id = this.#resolve(typeId);
    let count = 1;
    const isArray = this.#type(id).kind === KIND.ARRAY;
    if (isArray) {
      const extra = this.#type(id).extra;
      count = this.#view.getUint32(extra + 8, true);
      id = this.#resolve(this.#view.getUint32(extra, true));
    }
    const element = this.#type(id);
    const base = { name, offset, count, isArray, size: element.sizeOrType, signed: false, isChar: false };
    switch (element.kind) {
      case KIND.INT: {
        const signed = ((this.#view.getUint32(element.extra, true) >>> 24) & 1) === 1;
        const isChar = element.name === "char";
        return { ...base, signed: signed && !isChar, isChar, type: undefined };
      }
      case KIND.ENUM:
        return { ...base, type: this.#enum(element) };
      case KIND.STRUCT:
        return { ...base, type: this.#struct(id) };
      case KIND.PTR:
        return { ...base, size: 8, type: undefined };
      default:
        throw new Error(`${name} is of BTF kind ${element.kind}, which has no portable layout`);
    }
  }

  #enum(type: RawType): BtfEnum {
    const values: { name: string; value: number }[] = [];
    for (let index = 0; index < type.vlen; index++) {
      const at = type.extra + index * 8;
      values.push({
        name: this.#string(this.#view.getUint32(at, true)),
        value: this.#view.getInt32(at + 4, true),
      });
    }
    return { kind: "enum", name: type.name, values };
  }

  /** Follows typedefs and qualifiers. */
  #resolve(id: number): number {
    const type = this.#type(id);
    const transparent: readonly number[] = [KIND.TYPEDEF, KIND.VOLATILE, KIND_CONST, KIND_RESTRICT];
    return transparent.includes(type.kind) ? this.#resolve(type.sizeOrType) : id;
  }
}

/** Bytes of a section of a 64-bit little-endian ELF file (include/uapi/linux/elf.h: Elf64_Ehdr, Elf64_Shdr). */
function elfSection(object: Buffer, wanted: string): Buffer {
  if (object.length < 64 || object.readUInt32BE(0) !== 0x7f454c46 || object[4] !== 2 || object[5] !== 1) {
    throw new Error("not a 64-bit little-endian ELF file");
  }
  const tableOffset = Number(object.readBigUInt64LE(40));
  const entryBytes = object.readUInt16LE(58);
  const entry = (index: number) => object.subarray(tableOffset + index * entryBytes);
  const content = (header: Buffer) => {
    const start = Number(header.readBigUInt64LE(24));
    return object.subarray(start, start + Number(header.readBigUInt64LE(32)));
  };
  const names = content(entry(object.readUInt16LE(62)));
  for (let index = 0; index < object.readUInt16LE(60); index++) {
    const header = entry(index);
    const nameStart = header.readUInt32LE(0);
    if (names.toString("latin1", nameStart, names.indexOf(0, nameStart)) === wanted) return content(header);
  }
  throw new Error(`no ${wanted} section: compile with clang -g -target bpf`);
}
