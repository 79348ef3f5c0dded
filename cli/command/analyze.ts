// SPDX-License-Identifier: Apache-2.0
// `ambit analyze`: what is wrong, or hardly as meant, in a cluster and in files about to be applied to it, under the
// codes that Istio's users know. Exits 79 when something reaches the failure threshold.

import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import type { KubeClient, Selection } from '#lib/kube/client.ts';
import { isKubeError } from '#lib/kube/error.ts';
import * as kinds from '#lib/kube/kind.ts';
import type { KubeObject as LiveObject, Secret } from '#lib/kube/object.ts';
import { analyze } from '#lib/model/analyze/analyze.ts';
import { CODES, type Finding, LEVELS, type Level, reaches } from '#lib/model/analyze/finding.ts';
import { DEFAULT_SETTINGS } from '#lib/model/mesh-settings.ts';
import type { KubeObject } from '#lib/model/object/object.ts';
import { type ParsedObject, parseDocuments } from '#lib/model/validate/documents.ts';
import type { FileProblem } from '#lib/model/validate/files.ts';
import { namespaceFor, withClient } from '../cluster.ts';
import { readTexts } from '../files/read.ts';
import type { CliIo } from '../io.ts';

const FOUND = 79;
const WATCHED: readonly kinds.Kind<LiveObject>[] = [
  kinds.NAMESPACE,
  kinds.POD,
  kinds.SERVICE,
  kinds.SERVICE_ACCOUNT,
  kinds.AUTHORIZATION_POLICY,
  kinds.PEER_AUTHENTICATION,
  kinds.SERVICE_ENTRY,
  kinds.WORKLOAD_ENTRY,
  kinds.WORKLOAD_GROUP,
  kinds.GATEWAY,
  kinds.GATEWAY_CLASS,
  kinds.REQUEST_AUTHENTICATION,
  kinds.VIRTUAL_SERVICE,
  kinds.DESTINATION_RULE,
  kinds.HTTP_ROUTE,
  kinds.GRPC_ROUTE,
  kinds.TELEMETRY,
  kinds.kindOf('networking.istio.io', 'v1', 'Gateway', 'gateways'),
  kinds.kindOf('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition', 'customresourcedefinitions', false),
];

interface Options {
  readonly allNamespaces?: boolean;
  readonly useKube: string;
  readonly listAnalyzers?: boolean;
  readonly suppress: readonly string[];
  readonly failureThreshold: Level;
  readonly outputThreshold: Level;
  readonly output: 'log' | 'json' | 'yaml';
  readonly remoteContexts?: string;
}

export function analyzeCommand(io: CliIo, exit: (code: number) => void): Command {
  const threshold = (flags: string, what: string, fallback: Level): Option =>
    new Option(flags, what).choices(LEVELS).default(fallback);
  return new Command('analyze')
    .description('analyze the cluster and files; exits 79 when there are findings of the failure threshold')
    .argument('[files...]', 'files, folders, or - for standard input, as if they were applied')
    .option('-A, --all-namespaces', 'all namespaces')
    .option('-k, --use-kube <boolean>', 'look at the cluster, too', 'true')
    .option('-L, --list-analyzers', 'list the codes and end')
    .option('-S, --suppress <code=object...>', 'leave out, as in "IST0118=Service web.shop"; * stands for anything', [])
    .option('--remote-contexts <names>', 'contexts of other clusters of the mesh, whose Services are compared')
    .addOption(threshold('--failure-threshold <level>', 'from which level on to fail', 'Error'))
    .addOption(threshold('--output-threshold <level>', 'from which level on to tell', 'Info'))
    .addOption(
      new Option('-o, --output <format>', 'form of the output').choices(['log', 'json', 'yaml']).default('log'),
    )
    .action(async (files: string[], options: Options, command: Command) => {
      if (options.listAnalyzers === true) {
        io.out(
          Object.entries(CODES)
            .map(([code, name]) => `${code}  ${name}\n`)
            .join(''),
        );
        return;
      }
      const { objects, problems } = fromFiles(files);
      const live = options.useKube === 'false' ? [] : await withClient(command, fromCluster);
      const remote = await fromRemote(command, options.remoteContexts?.split(',') ?? []);
      const own = new Set(objects.map(({ object }) => nameOf(object)));
      const all = [...objects, ...live.filter(({ object }) => !own.has(nameOf(object)))];
      const namespace =
        options.allNamespaces === true || options.useKube === 'false' ? undefined : namespaceFor(command);
      const found = analyze(all, problems, DEFAULT_SETTINGS, remote).filter(
        (one) =>
          !suppressed(one, options.suppress) && concerns(one, namespace) && reaches(one.level, options.outputThreshold),
      );
      io.out(printed(found, options.output));
      if (found.some(({ level }) => reaches(level, options.failureThreshold))) exit(FOUND);
    });
}

function fromFiles(files: readonly string[]): { objects: ParsedObject[]; problems: FileProblem[] } {
  const objects: ParsedObject[] = [];
  const problems: FileProblem[] = [];
  for (const text of readTexts(files)) {
    const parsed = parseDocuments(text);
    objects.push(...parsed.objects);
    for (const one of parsed.problems)
      problems.push({ ...one, severity: 'error', code: 'Unreadable', object: '', field: '' });
  }
  return { objects, problems };
}

async function fromCluster(client: KubeClient): Promise<ParsedObject[]> {
  const istiod = { labelSelector: 'app=istiod' };
  const lists = [
    ...WATCHED.map((kind) => objectsOf(client, kind)),
    objectsOf(client, kinds.DEPLOYMENT, istiod),
    objectsOf(client, kinds.SECRET, {}, onlyKeys),
  ];
  return (await Promise.all(lists)).flat();
}

/** Services of other clusters, each with the context it was found by. */
async function fromRemote(command: Command, contexts: readonly string[]): Promise<ParsedObject[]> {
  const lists = contexts.map((context) =>
    withClient(
      command,
      async (client) =>
        (await objectsOf(client, kinds.SERVICE)).map((one) => ({
          ...one,
          object: { ...one.object, cluster: context },
        })),
      context,
    ),
  );
  return (await Promise.all(lists)).flat();
}

const NOWHERE = { placeOf: () => ({ file: '', line: 0 }) };

/** None of a kind that is not installed, and none of Secrets that are not ours to read. */
async function objectsOf<T extends LiveObject>(
  client: KubeClient,
  kind: kinds.Kind<T>,
  selection: Selection = {},
  trim?: (object: T) => T,
): Promise<ParsedObject[]> {
  try {
    const { items } = await client.list(kind, selection, undefined, trim);
    return items.map((object) => ({
      object: { ...object, apiVersion: kinds.apiVersionOf(kind), kind: kind.kind } as KubeObject,
      ...NOWHERE,
    }));
  } catch (error) {
    if (isKubeError(error, 'KUBE_NOT_FOUND')) return [];
    if (kind.kind === 'Secret' && isKubeError(error, 'KUBE_FORBIDDEN')) return [];
    throw error;
  }
}

/** What a Secret holds is nobody's business here; under which names, is. */
function onlyKeys(secret: Secret): Secret {
  const data = Object.fromEntries(Object.keys(secret.data ?? {}).map((key) => [key, '']));
  return { metadata: secret.metadata, data };
}

function nameOf({ apiVersion = '', kind, metadata }: KubeObject): string {
  return `${apiVersion.split('/')[0]} ${kind} ${metadata?.namespace ?? 'default'}/${metadata?.name}`;
}

/** Findings in files concern everybody, others the namespace that was asked for. */
function concerns({ object, reference }: Finding, namespace: string | undefined): boolean {
  const [, name = ''] = object.split(' ');
  return namespace === undefined || reference !== '' || !name.includes('/') || name.startsWith(`${namespace}/`);
}

/** `CODE=Kind name.namespace`, with `*` for anything. */
function suppressed({ code, object }: Finding, patterns: readonly string[]): boolean {
  const [kind = '', place = ''] = object.split(' ');
  const [namespace, name] = place.includes('/') ? place.split('/') : ['', place];
  const text = `${code}=${kind} ${name}${namespace === '' ? '' : `.${namespace}`}`;
  return patterns.some((pattern) => {
    const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`^${parts.join('.*')}$`).test(text);
  });
}

function printed(found: readonly Finding[], output: Options['output']): string {
  const values = found.map(({ level, object, ...rest }) => ({
    ...rest,
    level,
    origin: object,
    name: CODES[rest.code],
  }));
  if (output === 'json') return `${JSON.stringify(values, null, 2)}\n`;
  if (output === 'yaml') return stringify(values);
  if (found.length === 0) return 'No validation issues found.\n';
  return found
    .map(({ code, level, message, object, reference }) => {
      const place = [object, reference].filter((part) => part !== '').join(' ');
      return `${level} [${code}] (${place}) ${message}\n`;
    })
    .join('');
}
