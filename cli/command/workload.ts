// SPDX-License-Identifier: Apache-2.0
// `ambit workload entry configure`: writes what a machine outside the cluster needs to join the mesh.
import { mkdirSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { Command } from 'commander';
import { parse } from 'yaml';
import { parseDuration } from '#lib/kit/config.ts';
import { AmbitError } from '#lib/kit/error.ts';
import type { KubeClient } from '#lib/kube/client.ts';
import { CONFIG_MAP, SERVICE, WORKLOAD_GROUP } from '#lib/kube/kind.ts';
import { accountToken } from '#lib/kube/token.ts';
import type { WorkloadGroup } from '#lib/model/object/entry.ts';
import { type GlobalOptions, namespaceFor, withClient } from '../cluster.ts';
import { readTexts } from '../files/read.ts';
import type { CliIo } from '../io.ts';
import { machineFiles } from '../workload/files.ts';

const AUDIENCE = 'istio-ca';
const ROOT_MAP = 'istio-ca-root-cert';
const ROOT_KEY = 'root-cert.pem';
/** The token lets its holder be the account. */
const SECRET_MODE = 0o600;

interface Options {
  readonly file?: string;
  readonly name?: string;
  readonly output: string;
  readonly clusterID: string;
  readonly tokenDuration: string;
  readonly ingressService: string;
  readonly ingressIP?: string;
  readonly internalIP: string;
  readonly autoregister: boolean;
  readonly captureDns: string;
  readonly revision: string;
  readonly trustDomain: string;
}

export function workloadCommand(io: CliIo): Command {
  const entry = new Command('entry').description('machines that are in the mesh').addCommand(configure(io));
  return new Command('workload').description('workloads outside Kubernetes').addCommand(entry);
}

function configure(io: CliIo): Command {
  const command = new Command('configure')
    .description('write the files by which a machine joins as a member of a WorkloadGroup')
    .option('-f, --file <file>', 'the WorkloadGroup, as a file')
    .option('--name <name>', 'the WorkloadGroup, by its name in the cluster')
    .requiredOption('-o, --output <folder>', 'where the files go')
    .requiredOption('--internalIP <ip>', 'address of the machine')
    .option('--clusterID <id>', 'id of the cluster whose control plane it joins', 'Kubernetes')
    .option(
      '--tokenDuration <seconds>',
      'how long the token is good: seconds, or 24h; the API server may allow less',
      '3600',
    )
    .option('--ingressService <name>', 'Service by which machines reach the control plane', 'istio-eastwestgateway')
    .option('--ingressIP <ip>', 'address by which machines reach the control plane, in place of that Service’s')
    .option('--autoregister', 'the machine’s WorkloadEntry is made when it connects', false)
    .option('--capture-dns <bool>', 'the node proxy answers DNS', 'true')
    .option('--revision <revision>', 'revision of the control plane', '')
    .option('--trustDomain <domain>', 'trust domain of the mesh', 'cluster.local');
  return command.action(async (options: Options) => {
    const { istioNamespace } = command.optsWithGlobals<GlobalOptions>();
    if (isIP(options.internalIP) === 0) throw invalid('--internalIP', options.internalIP, 'an IP address');
    if (!['true', 'false'].includes(options.captureDns))
      throw invalid('--capture-dns', options.captureDns, 'true or false');
    const seconds = secondsOf(options.tokenDuration);
    await withClient(command, async (client) => {
      const group = await groupOf(client, namespaceFor(command), options);
      const { namespace = 'default' } = group.metadata;
      const account = { namespace, name: group.spec?.template?.serviceAccount ?? 'default' };
      const [{ expires, token }, root] = await Promise.all([
        accountToken(client, account, { seconds, audiences: [AUDIENCE] }),
        client.get(CONFIG_MAP, { namespace, name: ROOT_MAP }),
      ]);
      const rootPem = root?.data?.[ROOT_KEY];
      if (rootPem === undefined) {
        throw new AmbitError('MESH_ROOT_MISSING', `ConfigMap ${namespace}/${ROOT_MAP} has no ${ROOT_KEY}`, {
          advice: 'check that the control plane runs; it puts its root into every namespace',
        });
      }
      const ingressIp = options.ingressIP ?? (await addressOf(client, istioNamespace, options.ingressService));
      const files = machineFiles(group, {
        ...{ ingressIp, istioNamespace, rootPem, token, internalIp: options.internalIP, clusterId: options.clusterID },
        ...{ revision: options.revision, trustDomain: options.trustDomain, autoRegister: options.autoregister },
        captureDns: options.captureDns === 'true',
      });
      mkdirSync(options.output, { recursive: true });
      for (const [name, text] of Object.entries(files)) {
        writeFileSync(join(options.output, name), text, name === 'istio-token' ? { mode: SECRET_MODE } : {});
      }
      io.out(`${Object.keys(files).join(', ')} written to ${options.output}; the token is good until ${expires}\n`);
      if (ingressIp === '') {
        io.err(
          `hosts is empty: Service ${options.ingressService} has no address; say where istiod is with --ingressIP\n`,
        );
      }
    });
  });
}

async function groupOf(client: KubeClient, namespace: string, { file, name }: Options): Promise<WorkloadGroup> {
  if (file !== undefined) {
    const [text] = readTexts([file]);
    const group = parse(text?.text ?? '') as (WorkloadGroup & { kind?: string }) | null;
    if (group?.kind !== 'WorkloadGroup') throw invalid('--file', file, 'a file with one WorkloadGroup');
    return { ...group, metadata: { ...group.metadata, namespace: group.metadata.namespace ?? namespace } };
  }
  if (name === undefined) throw invalid('--name', '', 'the name of a WorkloadGroup, or a file with one in --file');
  const found = await client.get(WORKLOAD_GROUP, { namespace, name });
  if (found !== undefined) return found as WorkloadGroup;
  throw new AmbitError('WORKLOAD_GROUP_NOT_FOUND', `no WorkloadGroup ${namespace}/${name}`, {
    advice: 'name its namespace with -n, or give it as a file with --file',
  });
}

/** The first address of a Service's load balancer; '' without one. */
async function addressOf(client: KubeClient, namespace: string, name: string): Promise<string> {
  const service = await client.get(SERVICE, { namespace, name });
  const { status } = (service ?? {}) as { status?: { loadBalancer?: { ingress?: readonly { ip?: string }[] } } };
  return status?.loadBalancer?.ingress?.[0]?.ip ?? '';
}

function secondsOf(text: string): number {
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : parseDuration(text);
  if (ms === undefined || ms <= 0) throw invalid('--tokenDuration', text, '3600 or 24h');
  return ms / 1000;
}

function invalid(flag: string, value: string, fix: string): AmbitError {
  return new AmbitError('CONFIG_INVALID', `${flag} ${value} is not understood`, { advice: `write ${fix}` });
}
