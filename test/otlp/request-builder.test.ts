import assert from "node:assert/strict";
import type { EvidenceRecord } from "../../src/evidence/record.ts";
import {
  connectionStateAttributes,
  constantAttribute,
  eventSlots,
  extensionSlots,
  recordSlots,
} from "../../src/otlp/attribute-slot.ts";
import { decodeRequest } from "../../src/otlp/decode-request.ts";
import { encodeRecord, type RecordMeta } from "../../src/otlp/encode-record.ts";
import type { LogRecordWriter } from "../../src/otlp/log-record-writer.ts";
import { RequestBuilder } from "../../src/otlp/request-builder.ts";
import { createResourceSource } from "../../src/otlp/resource.ts";

const resources = createResourceSource({ "service.name": "test" });
const host = resources.resourceFor(undefined, undefined);
const container = resources.resourceFor(`docker://${"ab".repeat(32)}`, `sha256:${"cd".repeat(32)}`);

function writeOpen(writer: LogRecordWriter, path: string, sequence: number): void {
  writer.begin("file_open", 1, 2, 3, 4, 9);
  writer.text(eventSlots.file_open.path, path);
  writer.uid("stream", sequence);
  writer.end();
}

describe("a request builder", () => {
  it("knows the size of the request at every moment, to the byte", () => {
    for (const pick of [
      () => host,
      (i: number) => (i % 3 === 0 ? container : host),
      (i: number) => (i < 40 ? host : container),
    ]) {
      for (const count of [1, 2, 3, 50]) {
        const builder = new RequestBuilder({ capacityBytes: 64 });
        for (let index = 0; index < count; index++) {
          writeOpen(builder.use(pick(index)), "/p".repeat(index * 7), index);
        }
        const { byteLength, recordCount } = builder;
        const sealed = builder.seal();
        assert.equal(sealed.body.length, byteLength);
        assert.equal(recordCount, count);
        assert.equal(sealed.recordCount, count);
        assert.equal(decodeRequest(sealed.body).length, count);
      }
    }
  });

  it("writes over the bodies that it gets back, and over no other", () => {
    const builder = new RequestBuilder({ capacityBytes: 8192 });
    const seal = (path: string) => {
      while (builder.byteLength < 5000) writeOpen(builder.use(host), path, builder.recordCount);
      return builder.seal().body;
    };
    const [first, second] = [seal("/first"), seal("/second")];
    const copies = [Buffer.from(first), Buffer.from(second)];
    // Somebody else's memory, and a body that was given back twice.
    builder.recycle(Buffer.from(second));
    builder.recycle(first);
    builder.recycle(first);
    const memory = [1, 2, 3].map(() => seal("/later").buffer);
    assert.equal(new Set([...memory, second.buffer]).size, 4, "no two bodies share memory");
    assert.ok(memory.includes(first.buffer), "the memory that came back is used again");
    assert.ok(second.equals(copies[1] as Buffer));
    assert.ok(!first.equals(copies[0] as Buffer));
  });

  it("puts the records of one resource together, in their order", () => {
    const builder = new RequestBuilder();
    for (let index = 0; index < 6; index++)
      writeOpen(builder.use(index % 2 === 0 ? host : container), `/${index}`, index);
    const decoded = decodeRequest(builder.seal().body);
    assert.deepEqual(
      decoded.map(({ attributes }) => attributes.get("file.path")),
      ["/0", "/2", "/4", "/1", "/3", "/5"],
    );
    assert.equal(new Set(decoded.map(({ resource }) => resource)).size, 2);
    const containerAttributes = decoded[3]?.resource.attributes;
    assert.equal(containerAttributes?.get("container.id"), "ab".repeat(32));
    assert.equal(containerAttributes?.get("container.runtime.name"), "docker");
    assert.equal(containerAttributes?.get("runtime_evidence.container.id"), `docker://${"ab".repeat(32)}`);
    assert.equal(containerAttributes?.get("oci.manifest.digest"), `sha256:${"cd".repeat(32)}`);
  });

  it("starts anew after sealing, and a sealed body stays as it is", () => {
    for (const size of [10, 100_000]) {
      const builder = new RequestBuilder({ capacityBytes: 128 * 1024 });
      writeOpen(builder.use(host), "a".repeat(size), 0);
      const first = builder.seal().body;
      const before = Buffer.from(first);
      assert.equal(builder.byteLength, 0);
      assert.equal(builder.seal().body.length, 0);
      writeOpen(builder.use(host), "b".repeat(size), 1);
      builder.seal();
      assert.ok(first.equals(before));
      assert.ok(
        first.buffer.byteLength <= 2 * first.length,
        "a body keeps no more than twice its size alive",
      );
    }
  });

  it("takes back a record that was not ended", () => {
    const builder = new RequestBuilder();
    writeOpen(builder.use(host), "/kept", 0);
    const { byteLength } = builder;
    const writer = builder.use(host);
    writer.begin("file_open", 1, 2, 3, 4, 9);
    writer.text(eventSlots.file_open.path, "/dropped");
    writer.abort();
    assert.equal(builder.byteLength, byteLength);
    assert.equal(decodeRequest(builder.seal().body).length, 1);
  });

  it("forgets the container unused for longest at its limit", () => {
    const source = createResourceSource({}, 2);
    const first = source.resourceFor("docker://1", undefined);
    const second = source.resourceFor("docker://2", undefined);
    assert.equal(source.resourceFor("docker://1", undefined), first);
    source.resourceFor("docker://3", undefined);
    assert.equal(source.resourceFor("docker://1", undefined), first);
    assert.notEqual(source.resourceFor("docker://2", undefined), second);
  });
});

describe("writing field by field", () => {
  const meta: RecordMeta = {
    resources,
    timeUnixNano: (4n << 32n) | 0xfffffff0n,
    observedTimeUnixNano: (5n << 32n) | 7n,
    streamId: "0123456789abcdef",
    sequence: 2 ** 40,
    extensions: { attribution: "owner", namespacePid: 3, truncated: true },
  };
  const begin = (writer: LogRecordWriter, type: EvidenceRecord["event"]["type"]): void =>
    writer.begin(type, 0xfffffff0, 4, 7, 5, 9);
  const end = (writer: LogRecordWriter): void => {
    writer.constant(constantAttribute(extensionSlots.attribution, "owner"));
    writer.integer(extensionSlots.namespacePid, 3, 0);
    writer.boolean(extensionSlots.truncated, true);
    writer.uid(meta.streamId, meta.sequence);
    writer.end();
  };
  const ascii = (
    writer: LogRecordWriter,
    slot: Parameters<LogRecordWriter["ascii"]>[0],
    text: string,
  ): void => {
    const source = Buffer.from(`--${text}--`);
    writer.ascii(slot, source, 2, 2 + text.length);
  };
  const same = (record: EvidenceRecord, write: (writer: LogRecordWriter) => void): void => {
    const fromRecord = new RequestBuilder();
    encodeRecord(fromRecord, record, meta);
    const fromFields = new RequestBuilder();
    write(fromFields.use(host));
    assert.ok(fromFields.seal().body.equals(fromRecord.seal().body));
  };

  for (const length of [1, 47, 48, 49, 80, 120, 127, 128, 129, 255, 256, 257, 4095, 16_300, 17_000]) {
    it(`gives the bytes that the record gives, with a path of ${length} bytes`, () => {
      const path = "/".padEnd(length, "p");
      same(
        {
          ts_ns: 2n ** 63n + 1n,
          src: "sys_enter_openat",
          pid: 2311,
          tid: 2 ** 31,
          cgroup_id: 2 ** 40 + 5,
          comm: "nginx",
          event: {
            type: "file_open",
            path,
            flags: 2n ** 63n - 1n,
            access: "read_write",
            dfd: -100,
            mode: 0o644,
          },
        },
        (writer) => {
          const { file_open } = eventSlots;
          begin(writer, "file_open");
          writer.unsigned(recordSlots.ts_ns, 1, 0x80000000);
          writer.constant(constantAttribute(recordSlots.src, "sys_enter_openat"));
          writer.integer(recordSlots.pid, 2311, 0);
          writer.integer(recordSlots.tid, 0x80000000, 0);
          writer.unsigned(recordSlots.cgroup_id, 5, 256);
          ascii(writer, recordSlots.comm, "nginx");
          ascii(writer, file_open.path, path);
          writer.unsigned(file_open.flags, 0xffffffff, 0x7fffffff);
          writer.constant(constantAttribute(file_open.access, "read_write"));
          writer.integer(file_open.dfd, -100, -1);
          writer.integer(file_open.mode, 0o644, 0);
          end(writer);
        },
      );
    });
  }

  it("gives the bytes that the record gives, for a TCP state", () => {
    same(
      {
        ts_ns: 1,
        src: "inet_sock_set_state",
        pid: 1,
        comm: "c",
        event: {
          type: "tcp_state",
          oldstate: "LISTEN",
          newstate: "CLOSE",
          daddr: "::",
          dport: 0,
          sport: 65535,
          family: "inet6",
        },
      },
      (writer) => {
        const { tcp_state } = eventSlots;
        begin(writer, "tcp_state");
        writer.integer(recordSlots.ts_ns, 1, 0);
        writer.constant(constantAttribute(recordSlots.src, "inet_sock_set_state"));
        writer.integer(recordSlots.pid, 1, 0);
        ascii(writer, recordSlots.comm, "c");
        writer.constant(constantAttribute(tcp_state.oldstate, "LISTEN"));
        writer.constant(constantAttribute(tcp_state.newstate, "CLOSE"));
        ascii(writer, tcp_state.daddr, "::");
        writer.integer(tcp_state.dport, 0, 0);
        writer.integer(tcp_state.sport, 65535, 0);
        writer.constant(constantAttribute(tcp_state.family, "ipv6"));
        const state = connectionStateAttributes.get("CLOSE");
        assert.ok(state);
        writer.constant(state);
        end(writer);
      },
    );
  });
});

describe("the body of a log record", () => {
  const body = (record: EvidenceRecord): unknown => {
    const builder = new RequestBuilder();
    encodeRecord(builder, record, {
      resources,
      timeUnixNano: 0n,
      observedTimeUnixNano: 0n,
      streamId: "s",
      sequence: 0,
    });
    return decodeRequest(builder.seal().body)[0]?.body;
  };
  const top = { ts_ns: 1, src: "s", pid: 2311, comm: "nginx" } as const;

  it("is one line that says what happened", () => {
    assert.deepEqual(
      [
        body({ ...top, event: { type: "file_open", path: "/etc/x", access: "read" } }),
        body({ ...top, event: { type: "process_exec", filename: "/bin/cat", ppid: 7 } }),
        body({
          ...top,
          event: { type: "tcp_state", oldstate: "LISTEN", newstate: "CLOSE", daddr: "::", dport: 443 },
        }),
        body({
          ...top,
          event: { type: "net_connect", addr: "10.0.0.1", port: 80, success: false, error: 111 },
        }),
        body({ ...top, event: { type: "ssl_op", operation: "write", bytes: 2 ** 33 } }),
        body({ ...top, event: { type: "function_call", addr: "0x1f", symbol: "f", library: "l" } }),
      ],
      [
        "nginx[2311] file_open /etc/x (read)",
        "nginx[2311] process_exec /bin/cat (parent 7)",
        "nginx[2311] tcp_state :: port 443 (LISTEN to CLOSE)",
        "nginx[2311] net_connect 10.0.0.1 port 80 (error 111)",
        "nginx[2311] ssl_op write 8589934592 bytes",
        "nginx[2311] function_call 0x1f f in l",
      ],
    );
  });

  it("cuts a long path at a character and shows no control characters", () => {
    assert.equal(
      body({ ...top, event: { type: "file_open", path: "a\n\x1b[2Jb\x7f" } }),
      "nginx[2311] file_open a??[2Jb?",
    );
    assert.equal(
      body({ ...top, event: { type: "file_open", path: `x${"é".repeat(400)}` } }),
      `nginx[2311] file_open x${"é".repeat(127)}`,
    );
  });
});
