/**
 * The package as its users get it: built from these sources, packed by npm, and put into a project of its own
 * where nothing else of this repository can be imported.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { REPOSITORY } from "../tidy/repository.ts";

const run = promisify(execFile);
const MODULES = join(REPOSITORY, "node_modules");
const TSC = join(MODULES, ".bin/tsc");

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A project that has the package installed. */
export interface PackageProject {
  /** Files of the tarball, below `package/`. */
  readonly packedFiles: readonly string[];
  path(name: string): string;
  write(name: string, text: string): Promise<void>;
  /** What tsc says of the project's own files; empty when all is well. */
  checkTypes(): Promise<string>;
  /** Runs a file of the project with Node; ended after 30 s. */
  run(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Finished>;
  remove(): Promise<void>;
}

/**
 * Builds, packs and installs. The package sees its declared dependencies and no others; the project also sees
 * `ownPackages`, which it would have installed itself.
 */
export async function installPackage(ownPackages: readonly string[]): Promise<PackageProject> {
  const directory = await mkdtemp(join(tmpdir(), "runtime-evidence-package-"));
  try {
    const project = join(directory, "project");
    const packedFiles = await pack(directory, join(project, "node_modules/runtime-evidence"));
    const { dependencies } = JSON.parse(await readFile(join(REPOSITORY, "package.json"), "utf8")) as Manifest;
    for (const name of new Set([...Object.keys(dependencies), ...ownPackages])) await link(project, name);
    await writeFile(join(project, "package.json"), JSON.stringify({ private: true, type: "module" }));
    await writeFile(join(project, "tsconfig.json"), JSON.stringify(USER_TSCONFIG));
    return packageProject(directory, project, packedFiles);
  } catch (thrown) {
    await rm(directory, { recursive: true, force: true });
    throw thrown;
  }
}

/** What a strict user of the package has; declarations of the package are checked, too. */
const USER_TSCONFIG = {
  compilerOptions: {
    target: "es2024",
    lib: ["es2024"],
    module: "nodenext",
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    types: ["node"],
  },
  include: ["*.ts"],
};

/** Packs a build of the sources as they are now; `dist/` may be older. */
async function pack(directory: string, target: string): Promise<string[]> {
  const staging = join(directory, "staging");
  const { files } = JSON.parse(await readFile(join(REPOSITORY, "package.json"), "utf8")) as Manifest;
  for (const name of ["package.json", "README.md", "LICENSE", ...files]) {
    const source = join(REPOSITORY, name);
    if (name !== "dist" && existsSync(source)) await cp(source, join(staging, name), { recursive: true });
  }
  await run(TSC, ["-p", join(REPOSITORY, "tsconfig.build.json"), "--outDir", join(staging, "dist")]);
  await run("npm", ["pack", "--offline", "--ignore-scripts", "--pack-destination", directory], {
    cwd: staging,
  });
  const tarball = (await readdir(directory)).find((name) => name.endsWith(".tgz"));
  if (tarball === undefined) throw new Error("npm pack made no tarball");
  await mkdir(target, { recursive: true });
  await run("tar", ["-xzf", join(directory, tarball), "-C", target, "--strip-components=1"]);
  const { stdout } = await run("tar", ["-tzf", join(directory, tarball)]);
  return stdout.trim().split("\n");
}

async function link(project: string, name: string): Promise<void> {
  const place = join(project, "node_modules", name);
  await mkdir(dirname(place), { recursive: true });
  await symlink(join(MODULES, name), place);
}

function packageProject(directory: string, project: string, packedFiles: readonly string[]): PackageProject {
  return {
    packedFiles,
    path: (name) => join(project, name),
    write: (name, text) => writeFile(join(project, name), text),
    async checkTypes() {
      const { code, stdout, stderr } = await finished(TSC, ["-p", "."], { cwd: project });
      return code === 0 ? "" : `${stdout}${stderr}`;
    },
    run: (args, environment = {}) => finished(process.execPath, args, { cwd: project, environment }),
    remove: () => rm(directory, { recursive: true, force: true }),
  };
}

async function finished(
  command: string,
  args: readonly string[],
  { cwd, environment = {} }: { cwd: string; environment?: Readonly<Record<string, string>> },
): Promise<Finished> {
  const options = {
    timeout: 30_000,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, ...environment },
    cwd,
  };
  try {
    return { code: 0, ...(await run(command, [...args], options)) };
  } catch (thrown) {
    const {
      code,
      stdout = "",
      stderr = "",
    } = thrown as { code?: number | string; stdout?: string; stderr?: string };
    return {
      code: typeof code === "number" ? code : -1,
      stdout,
      stderr: `${stderr}${typeof code === "number" ? "" : thrown}`,
    };
  }
}
