// SPDX-License-Identifier: Apache-2.0
// All subcommands joined, and how their failures become words and exit codes: 0 done, 1 failed or found problems,
// 2 called wrongly.

import { Command, CommanderError } from 'commander';
import { analyzeCommand } from './command/analyze.ts';
import { diffCommand } from './command/diff.ts';
import { explainCommand } from './command/explain.ts';
import { programCommands } from './command/programs.ts';
import { proxyConfigCommand } from './command/proxy-config.ts';
import { proxyStatusCommand } from './command/proxy-status.ts';
import { remoteClustersCommand } from './command/remote-clusters.ts';
import { remoteSecretCommand } from './command/remote-secret.ts';
import { tagCommand } from './command/tag.ts';
import { validateCommand } from './command/validate.ts';
import { versionCommand } from './command/version.ts';
import { waypointCommand } from './command/waypoint.ts';
import { workloadCommand } from './command/workload.ts';
import { ztunnelCommand } from './command/ztunnel.ts';
import { ztunnelConfigCommand } from './command/ztunnel-config.ts';
import type { CliIo } from './io.ts';

/** A subcommand's file exports one of these: it adds itself and keeps its exit code in `io`'s session. */
export type CommandFactory = (io: CliIo, exit: (code: number) => void) => Command;

const COMMANDS: readonly CommandFactory[] = [
  validateCommand,
  analyzeCommand,
  explainCommand,
  diffCommand,
  ztunnelConfigCommand,
  ztunnelCommand,
  proxyStatusCommand,
  proxyConfigCommand,
  waypointCommand,
  tagCommand,
  workloadCommand,
  remoteSecretCommand,
  remoteClustersCommand,
  versionCommand,
];

/** Runs one command line; gives its exit code. Errors of the command itself are thrown. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  let exitCode = 0;
  const program = new Command('ambit')
    .description('Inspect, explain and try the mesh.')
    .option('-c, --kubeconfig <file>', 'kubeconfig (default: KUBECONFIG, ~/.kube/config, or the service account)')
    .option('--context <name>', 'context of the kubeconfig')
    .option('-n, --namespace <namespace>', 'namespace of pods named without one (default: the context’s)')
    .option('-i, --istioNamespace <namespace>', 'namespace of the mesh', 'istio-system')
    .exitOverride()
    .configureOutput({ writeOut: io.out, writeErr: io.err })
    .showHelpAfterError('(see --help)');
  for (const make of COMMANDS) {
    const command = make(io, (code) => {
      exitCode = code;
    });
    inherit(command, program);
    program.addCommand(command);
  }
  for (const command of programCommands()) program.addCommand(command);
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return error.exitCode === 0 || error.code === 'commander.help' ? 0 : 2;
  }
  return exitCode;
}

/** Commander copies these to commands it makes itself, not to ones that are added. */
function inherit(command: Command, parent: Command): void {
  command.copyInheritedSettings(parent);
  for (const child of command.commands) inherit(child, command);
}
