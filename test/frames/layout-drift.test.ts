/**
 * The offsets that TypeScript and Rust use are those of the compiled contract. Each test compiles bpf/ with
 * clang; without clang they are skipped, and say so.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Btf } from "../../bpf/btf.ts";
import { collectLayout, differences, layoutHash, renderTypeScript } from "../../bpf/generate-layout.ts";
import { FRAME_HEADER_SIZE, LAYOUT_HASH } from "../../src/frames/layout.gen.ts";
import { skip } from "../skip.ts";

const bpf = fileURLToPath(new URL("../../bpf/", import.meta.url));
const COMPILE_TIMEOUT_MS = 30_000;
/** Programs on functions of user space read the registers of one architecture. */
const TARGET_ARCH = process.arch === "arm64" ? "arm64" : "x86";

describe("layout drift", function () {
  this.timeout(COMPILE_TIMEOUT_MS);
  let directory = "";

  before(function () {
    if (spawnSync("clang", ["--version"]).error !== undefined) {
      skip(this, "clang is not installed, so bpf/ can't be compiled");
    }
    directory = mkdtempSync(join(tmpdir(), "layout-drift-"));
  });

  after(() => {
    if (directory !== "") rmSync(directory, { recursive: true });
  });

  /** Compiles one source of bpf/, or `text` in its place, and returns the path of the object. */
  function compile(source: string, text = readFileSync(join(bpf, source), "utf8")): string {
    const object = join(directory, `${source}.o`);
    writeFileSync(join(directory, source), text);
    const target = ["-target", "bpf", `-D__TARGET_ARCH_${TARGET_ARCH}`];
    const flags = ["-g", "-O2", "-Wall", "-Werror", ...target, "-I", directory, "-I", bpf];
    const { status, stderr } = spawnSync("clang", [...flags, "-c", join(directory, source), "-o", object], {
      encoding: "utf8",
      timeout: COMPILE_TIMEOUT_MS,
    });
    assert.equal(status, 0, stderr);
    return object;
  }

  it("generated files are those of the contract, and every program is compiled with it", () => {
    const objects = readdirSync(bpf)
      .filter((file) => file.endsWith(".bpf.c"))
      .map((file) => compile(file));
    assert.ok(objects.length >= 5);
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(bpf, "generate-layout.ts"), "--check", ...objects],
      {
        encoding: "utf8",
        timeout: COMPILE_TIMEOUT_MS,
      },
    );
    assert.equal(stderr, "");
    assert.equal(status, 0);
  });

  it("every struct and enum of frame.h is in the generated layout", () => {
    const layout = collectLayout(Btf.fromObject(readFileSync(compile("layout.bpf.c"))), "frame_layout");
    const header = readFileSync(join(bpf, "frame.h"), "utf8");
    const declared = [...header.matchAll(/^(struct|enum) (\w+) \{/gm)].map((match) => match[2]);
    const generated = [...layout.structs, ...layout.enums].map((type) => type.name);
    assert.deepEqual(generated.toSorted(), declared.toSorted());
    assert.equal(layoutHash(layout), LAYOUT_HASH);
  });

  it("a moved field changes the hash and the generated text, and is named", () => {
    const contract = Btf.fromObject(readFileSync(compile("layout.bpf.c")));
    const layout = collectLayout(contract, "frame_layout");
    const header = readFileSync(join(bpf, "frame.h"), "utf8");
    const moved = header.replace("__u32 pid;", "__u32 inserted[2];\n\t__u32 pid;");
    assert.notEqual(moved, header);
    writeFileSync(join(directory, "frame.h"), moved);
    const other = Btf.fromObject(readFileSync(compile("layout.bpf.c")));
    rmSync(join(directory, "frame.h"));
    const changed = collectLayout(other, "frame_layout");
    assert.equal(changed.structs.find(({ name }) => name === "frame_header")?.size, FRAME_HEADER_SIZE + 8);
    assert.notEqual(layoutHash(changed), layoutHash(layout));
    assert.notEqual(renderTypeScript(changed), renderTypeScript(layout));
    assert.deepEqual(differences(layout, other), ["struct frame_header has another layout"]);
  });

  it("a file that is no BPF object is refused with a reason", () => {
    assert.throws(() => Btf.fromObject(Buffer.from("not an object")), /not a 64-bit little-endian ELF file/);
  });
});
