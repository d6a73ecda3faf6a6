import { queueContract } from "./queue-contract.ts";
import { SpoolScratch } from "./spool-scratch.ts";

const scratch = new SpoolScratch();
after(() => scratch.remove());

queueContract("the disk queue", (bytesMax, options) => scratch.open({ ...options, bytesMax }), 50);
queueContract(
  "the disk queue without memory",
  (bytesMax, options) => scratch.open({ ...options, bytesMax, memoryBytesMax: 0 }),
  50,
);
