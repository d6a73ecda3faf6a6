import { boundedMemory } from "./bounded-memory.ts";

boundedMemory("1 GiB", 1024 * 1024 * 1024, 600_000);
