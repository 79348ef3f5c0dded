// SPDX-License-Identifier: Apache-2.0
// istiod's command line, as Istio's own has it.
import { Command, CommanderError } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';

export interface ParsedArguments {
  readonly command: 'discovery' | 'version' | 'help';
  readonly flags: Readonly<Record<string, string>>;
  /** Text to print for `help`. */
  readonly output: string;
}

/** Takes the command line apart; throws CONFIG_INVALID naming what it does not know. */
export function parseArguments(argv: readonly string[]): ParsedArguments {
  let output = '';
  let command: ParsedArguments['command'] = 'help';
  let flags: Record<string, string> = {};
  const program = new Command('istiod')
    .description('The control plane of the mesh: watches Kubernetes, tells node proxies, signs certificates.')
    .exitOverride()
    .configureOutput({ writeOut: (text) => (output += text), writeErr: (text) => (output += text) });
  program
    .command('discovery')
    .description('serve')
    .option('--httpAddr <address>', 'readiness and debug pages', ':8080')
    .option('--grpcAddr <address>', 'xDS in plaintext', ':15010')
    .option('--secureGRPCAddr <address>', 'xDS and certificates over TLS', ':15012')
    .option('--monitoringAddr <address>', 'metrics', ':15014')
    .option('--httpsAddr <address>', 'validating webhook; empty turns it off', ':15017')
    .option('--ctrlz_address <address>', 'log levels are changed here', '127.0.0.1')
    .option('--ctrlz_port <port>', 'log levels are changed here; 0 turns it off', '9876')
    .option('--domain <domain>', 'DNS domain of the cluster', 'cluster.local')
    .option('--clusterID <id>', 'name of this cluster (default: CLUSTER_ID, else Kubernetes)')
    .option('--kubeconfig <file>', 'API server to watch (default: KUBECONFIG, else the service account)')
    .option('--sourceDir <folder>', 'folder of YAML files to serve, instead of an API server')
    .option('--stateDir <folder>', 'where to keep the root and other state beside --sourceDir (default: its .istiod)')
    .option('--log_output_level <levels>', 'as in default:info', 'default:info')
    .option('--log_as_json', 'log JSON objects')
    .option('--meshConfig <file>', 'mesh settings until the ConfigMap istio exists')
    .option('--tlsCertFile <file>', 'own certificate (default: /var/run/secrets/istiod/tls/tls.crt, if there)')
    .option('--tlsKeyFile <file>', 'its key (default: /var/run/secrets/istiod/tls/tls.key, if there)')
    .option('--keepaliveMaxServerConnectionAge <duration>', 'how old a connection may grow', '30m')
    .option('--shutdownDuration <duration>', 'how long to let calls finish', '10s')
    .action((options: Record<string, string | boolean>) => {
      command = 'discovery';
      flags = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)]));
    });
  program
    .command('version')
    .description('print the version')
    .action(() => {
      command = 'version';
    });
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    const asked = error.code === 'commander.helpDisplayed' || error.code === 'commander.help';
    if (!asked)
      throw new AmbitError('CONFIG_INVALID', error.message.replace(/^error: /, ''), { advice: 'see istiod --help' });
  }
  return { command, flags, output: output === '' ? program.helpInformation() : output };
}
