/**
 * `completion SHELL`: a completion script made from the command tree itself, so that it can't drift.
 */
import { Argument, Command } from "commander";

const SHELLS = ["bash", "zsh", "fish"] as const;

/** Needs the program itself: the script is made when the command runs and the tree is complete. */
export function completionCommand(program: Command): Command {
  return new Command("completion")
    .description("print a completion script for a shell")
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
Examples:
  runtime-evidence completion bash > /etc/bash_completion.d/runtime-evidence
  source <(runtime-evidence completion zsh)`,
    )
    .action((shell: (typeof SHELLS)[number]) => {
      process.stdout.write(shell === "fish" ? fishScript(program) : bashScript(program, shell === "zsh"));
    });
}

function words(command: Command): string[] {
  return command.options.map((option) => option.long ?? option.short ?? "").concat("--help");
}

/** One script for bash and zsh: zsh runs it through its bash emulation. */
function bashScript(program: Command, zsh: boolean): string {
  const cases = program.commands
    .map((command) => `    ${command.name()}) words="${words(command).join(" ")}" ;;`)
    .join("\n");
  return `${zsh ? "autoload -U +X bashcompinit && bashcompinit\n" : ""}_runtime_evidence() {
  local words="" current="\${COMP_WORDS[COMP_CWORD]}"
  case "\${COMP_WORDS[1]:-}" in
${cases}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then words="${program.commands.map((command) => command.name()).join(" ")} --help --version"; fi
  if [[ "$current" == -* || "$COMP_CWORD" -eq 1 ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -F _runtime_evidence runtime-evidence
`;
}

function fishScript(program: Command): string {
  const lines: string[] = [];
  for (const command of program.commands) {
    lines.push(
      `complete -c runtime-evidence -n __fish_use_subcommand -a ${command.name()} -d '${quoted(command.description())}'`,
    );
    for (const option of command.options) {
      if (option.long === undefined) continue;
      lines.push(
        `complete -c runtime-evidence -n '__fish_seen_subcommand_from ${command.name()}' -l ${option.long?.slice(2)} -d '${quoted(option.description)}'`,
      );
    }
  }
  return `${lines.join("\n")}\n`;
}

function quoted(text: string): string {
  return text.replaceAll("'", "\\'");
}
