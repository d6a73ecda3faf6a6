import assert from "node:assert/strict";
import { isIPv6 } from "node:net";
import fc from "fast-check";
import { ipv4Text, ipv6Text } from "../../src/frames/address.ts";

describe("addresses", () => {
  it("IPv4 is dotted", () => {
    assert.equal(ipv4Text(Buffer.from([0, 93, 184, 216, 34]), 1), "93.184.216.34");
  });

  // RFC 5952 sections 4 and 5.
  for (const [bytes, text] of [
    ["20010db8000000000000000000000001", "2001:db8::1"],
    ["20010db8000000010001000100010001", "2001:db8:0:1:1:1:1:1"],
    ["20010000000000010000000000000001", "2001:0:0:1::1"],
    ["20010db8000000000001000000000001", "2001:db8::1:0:0:1"],
    ["00000000000000000000000000000000", "::"],
    ["00000000000000000000000000000001", "::1"],
    ["20010db8aaaabbbbccccddddeeee0000", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:0"],
    ["fe800000000000000000000000000000", "fe80::"],
    ["00000000000000000000ffffc0000280", "192.0.2.128"],
  ] as const) {
    it(`IPv6 ${bytes} is ${text}`, () => assert.equal(ipv6Text(Buffer.from(bytes, "hex"), 0), text));
  }

  it("IPv6 text is what the system's own URL parser makes of it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(0, 0, 1, 0xffff, 0xdb8), { minLength: 8, maxLength: 8 }),
        (words) => {
          const bytes = Buffer.alloc(16);
          words.forEach((word, index) => void bytes.writeUInt16BE(word, 2 * index));
          const text = ipv6Text(bytes, 0);
          fc.pre(!text.includes("."));
          assert.ok(isIPv6(text), text);
          assert.equal(
            new URL(`http://[${words.map((word) => word.toString(16)).join(":")}]/`).hostname,
            `[${text}]`,
          );
        },
      ),
    );
  });
});
