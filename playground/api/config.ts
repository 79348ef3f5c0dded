// SPDX-License-Identifier: Apache-2.0
// The API server's command line.
import { Command } from 'commander';
import { AmbitError } from '#lib/kit/error.ts';
import { LEVELS, type Level } from '#lib/kit/log.ts';

export interface ApiConfig {
  readonly listen: { readonly host: string; readonly port: number };
  /** Folder of certificates, keys, kubeconfig and the write-ahead log. */
  readonly data: string;
  /** Keep nothing on disk but certificates and kubeconfig. */
  readonly memory: boolean;
  /** Address under which pods reach the server; default: the listening one. */
  readonly advertise: string | undefined;
  /** Further names and addresses of the serving certificate. */
  readonly names: readonly string[];
  /** Service ranges, the primary family first. */
  readonly serviceCidrs: readonly string[];
  /** Unix socket of a proxy into the cluster's network, when the server runs outside it. */
  readonly clusterNetwork: string | undefined;
  /** File to which each change is noted with who asked for it. */
  readonly auditLog: string | undefined;
  readonly logLevel: Level;
}

/** 10.96.0.0/16 and fd00:10:96::/112 are what most clusters use. */
const DEFAULT_SERVICE_CIDRS = '10.96.0.0/16,fd00:10:96::/112';

export function parseConfig(argv: readonly string[]): ApiConfig {
  const program = new Command('playground-api')
    .description('A Kubernetes API server in one process. Writes DIR/kubeconfig, then serves.')
    .requiredOption('--data <dir>', 'folder for certificates, keys, kubeconfig and the write-ahead log')
    .option('--listen <host:port>', 'address to serve on; port 0 takes a free one', '127.0.0.1:6443')
    .option('--advertise <host>', 'address under which pods reach this server')
    .option('--name <names>', 'further DNS names and addresses of its certificate, comma-separated', '')
    .option('--service-cidr <ranges>', 'service ranges, the primary family first', DEFAULT_SERVICE_CIDRS)
    .option('--cluster-network <socket>', 'reach nodes and pods through the CONNECT proxy at this Unix socket')
    .option('--audit-log <file>', 'note there who asked for each change, as JSON lines')
    .option('--memory', 'keep objects in memory only', false)
    .option('--log-level <level>', LEVELS.join(', '), 'info');
  const options = program.parse(argv, { from: 'user' }).opts<Record<string, string | boolean | undefined>>();
  const listen = String(options['listen']);
  const split = /^\[?(.*?)\]?:(\d+)$/.exec(listen);
  if (!split)
    throw new AmbitError('CONFIG_INVALID', `--listen ${listen} is no HOST:PORT`, {
      advice: 'write for example 127.0.0.1:6443',
    });
  const level = LEVELS.find((known) => known === options['logLevel']);
  if (!level)
    throw new AmbitError('CONFIG_INVALID', `--log-level ${String(options['logLevel'])} is unknown`, {
      advice: `use one of ${LEVELS.join(', ')}`,
    });
  return {
    listen: { host: split[1]!, port: Number(split[2]) },
    data: String(options['data']),
    memory: options['memory'] === true,
    advertise: typeof options['advertise'] === 'string' ? options['advertise'] : undefined,
    names: list(String(options['name'])),
    serviceCidrs: list(String(options['serviceCidr'])),
    clusterNetwork: typeof options['clusterNetwork'] === 'string' ? options['clusterNetwork'] : undefined,
    auditLog: typeof options['auditLog'] === 'string' ? options['auditLog'] : undefined,
    logLevel: level,
  };
}

const list = (text: string): string[] => text.split(',').flatMap((item) => item.trim() || []);
