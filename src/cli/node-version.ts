/**
 * The first import of the executable: an older Node would fail later, and without a word that helps.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 15)) {
  process.stderr.write(
    `error: runtime-evidence needs Node 22.15 or newer, this is ${process.versions.node}; in a clone, "npx runtime-evidence" finds the right one\n`,
  );
  process.exit(2);
}
