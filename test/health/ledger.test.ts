import assert from "node:assert/strict";
import fc from "fast-check";
import { EXPORT_LOSS_REASONS, Ledger } from "../../src/health/ledger.ts";
import { summaryJson, summaryText } from "../../src/health/summary.ts";

const kernel = (seen: bigint, emitted: bigint, filtered = 0n, lost: Record<string, bigint> = {}) => ({
  seen,
  emitted,
  filtered,
  lost: new Map(Object.entries(lost)),
});

describe("ledger", () => {
  it("balances whatever becomes of the events, once each is settled", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.constantFrom("exported", ...EXPORT_LOSS_REASONS.filter((reason) => reason !== "not_received")),
          {
            maxLength: 200,
          },
        ),
        fc.nat(100),
        fc.nat(100),
        fc.nat(100),
        (fates, filtered, ringFull, unread) => {
          const ledger = new Ledger(["file_open"]);
          for (const fate of fates) {
            ledger.received("file_open");
            if (fate === "exported") ledger.exported("file_open", 1);
            else ledger.lost("file_open", fate as never, 1);
          }
          const emitted = BigInt(fates.length + unread);
          const seen = emitted + BigInt(filtered + ringFull);
          ledger.kernel(
            "file_open",
            kernel(seen, emitted, BigInt(filtered), { ring_full: BigInt(ringFull) }),
          );
          ledger.close(true);
          const [balance] = ledger.balances();
          assert.equal(balance?.pending, 0n);
          assert.equal(balance?.lost.get("not_received") ?? 0n, BigInt(unread));
        },
      ),
    );
  });

  it("shows what is on its way as pending", () => {
    const ledger = new Ledger(["tcp_state"]);
    ledger.kernel("tcp_state", kernel(5n, 5n));
    ledger.received("tcp_state");
    ledger.exported("tcp_state", 1);
    assert.equal(ledger.balances()[0]?.pending, 4n);
  });

  it("of a recording that was cut before its last counters takes what was read as seen", () => {
    const ledger = new Ledger(["file_open"]);
    ledger.kernel("file_open", kernel(2n, 1n, 1n));
    for (let index = 0; index < 3; index++) ledger.received("file_open");
    ledger.exported("file_open", 3);
    ledger.close(false);
    const [balance] = ledger.balances();
    assert.deepEqual(
      [balance?.seen, balance?.exported, balance?.filtered, balance?.pending],
      [4n, 3n, 1n, 0n],
    );
  });

  it("does not hide events that appear from nowhere in an orderly stream", () => {
    const ledger = new Ledger(["file_open"]);
    ledger.received("file_open");
    ledger.exported("file_open", 1);
    ledger.kernel("file_open", kernel(0n, 0n));
    ledger.close(true);
    assert.equal(ledger.balances()[0]?.pending, -1n);
    assert.match(summaryText(ledger.balances(), "exported"), /\+ -1 unaccounted for/);
  });
});

describe("summary", () => {
  const ledger = new Ledger(["file_open"]);
  ledger.kernel("file_open", kernel(2n ** 60n, 0n, 2n ** 60n - 7n, { ring_full: 7n, recursion: 0n }));

  it("is one line per probe and one per reason, with what to do", () => {
    assert.equal(
      summaryText(ledger.balances(), "written"),
      "file_open     1152921504606846976 seen = 0 written + 1152921504606846969 filtered + 7 lost\n" +
        "  lost: file_open ring_full 7 (raise --ring-bytes, or narrow the capture with a filter)",
    );
  });

  it("as JSON keeps 64-bit counts exact", () => {
    assert.deepEqual(summaryJson(ledger.balances()), {
      probes: [
        {
          probe: "file_open",
          seen: "1152921504606846976",
          exported: "0",
          spooled: "0",
          filtered: "1152921504606846969",
          lost: { ring_full: "7" },
          unaccounted: "0",
        },
      ],
    });
  });
});
