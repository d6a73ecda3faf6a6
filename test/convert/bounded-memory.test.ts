import { boundedMemory } from "./bounded-memory.ts";

boundedMemory("64 MiB", 64 * 1024 * 1024, 60_000);
