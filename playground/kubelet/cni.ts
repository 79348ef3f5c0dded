// SPDX-License-Identifier: Apache-2.0
// Runs the CNI chain of the node for a pod, as a container runtime does (CNI specification 1.0.0, sections 2 to 4):
// the first valid configuration by name, each plugin fed its predecessor's result on ADD, reverse order on DEL.
import { accessSync, constants, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';
import { tryRun } from '../fabric/command.ts';

export interface CniPaths {
  readonly confDir: string;
  readonly binDirs: readonly string[];
}

export interface CniPod {
  readonly containerId: string;
  readonly netns: string;
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly portMappings: readonly {
    readonly hostPort: number;
    readonly containerPort: number;
    readonly protocol: string;
    readonly hostIP?: string;
  }[];
}

type Json = Readonly<Record<string, unknown>>;

export interface CniConfig {
  readonly file: string;
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly (Json & { readonly type: string })[];
}

export interface CniResult {
  readonly ips: readonly { readonly address: string }[];
  readonly raw: Json;
}

/** The configuration a runtime would use: the lexically first valid `.conf`, `.conflist` or `.json` in `dir`. */
export function loadCniConfig(dir: string): CniConfig | undefined {
  const files = readdirSync(dir).filter((file) => /\.(conf|conflist|json)$/.test(file));
  for (const file of files.sort()) {
    const config = parseCniConfig(file, readFileSync(join(dir, file), 'utf8'));
    if (config !== undefined) return config;
  }
  return undefined;
}

/** One configuration file's text; undefined when it is none. A single plugin becomes a list of one. */
export function parseCniConfig(file: string, text: string): CniConfig | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const conf = value as Json;
  const list = file.endsWith('.conflist') ? conf['plugins'] : [conf];
  if (!Array.isArray(list) || list.length === 0 || typeof conf['name'] !== 'string') return undefined;
  const plugins = list.filter((plugin): plugin is Json & { type: string } => typeof plugin?.type === 'string');
  if (plugins.length !== list.length) return undefined;
  return { file, name: conf['name'], cniVersion: String(conf['cniVersion'] ?? '0.1.0'), plugins };
}

/** Adds the pod to the network. Throws `CNI_ADD` naming the plugin that refused; what was added before it is taken back. */
export async function cniAdd(paths: CniPaths, config: CniConfig, pod: CniPod): Promise<CniResult> {
  let previous: Json | undefined;
  try {
    for (const plugin of config.plugins) previous = await execPlugin(paths, config, plugin, 'ADD', pod, previous);
  } catch (error) {
    await cniDel(paths, config, pod, previous).catch(() => undefined);
    throw error;
  }
  const ips = Array.isArray(previous?.['ips']) ? (previous['ips'] as { address: string }[]) : [];
  return { ips, raw: previous ?? {} };
}

/** Takes the pod off the network, last plugin first; every plugin is asked, and the first failure is thrown at the end. */
export async function cniDel(paths: CniPaths, config: CniConfig, pod: CniPod, result: Json | undefined): Promise<void> {
  let failure: unknown;
  for (const plugin of [...config.plugins].reverse()) {
    try {
      await execPlugin(paths, config, plugin, 'DEL', pod, result);
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
}

async function execPlugin(
  paths: CniPaths,
  config: CniConfig,
  plugin: Json & { readonly type: string },
  command: 'ADD' | 'DEL',
  pod: CniPod,
  previous: Json | undefined,
): Promise<Json | undefined> {
  const file = findPlugin(paths.binDirs, plugin.type);
  const capabilities = plugin['capabilities'] as Json | undefined;
  const wantsPorts = capabilities?.['portMappings'] === true && pod.portMappings.length > 0;
  const input = {
    ...plugin,
    name: config.name,
    cniVersion: config.cniVersion,
    ...(wantsPorts ? { runtimeConfig: { portMappings: pod.portMappings } } : {}),
    ...(previous === undefined ? {} : { prevResult: previous }),
  };
  const result = await tryRun(file, [], {
    input: JSON.stringify(input),
    timeoutMs: 60_000,
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: pod.containerId,
      CNI_NETNS: pod.netns,
      CNI_IFNAME: 'eth0',
      CNI_PATH: paths.binDirs.join(':'),
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${pod.namespace};K8S_POD_NAME=${pod.name};K8S_POD_INFRA_CONTAINER_ID=${pod.containerId};K8S_POD_UID=${pod.uid}`,
      PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin',
    },
  });
  if (result.status !== 0) {
    throw new AmbitError(
      `CNI_${command}`,
      `plugin type="${plugin.type}" failed (${command.toLowerCase()}): ${reasonOf(result)}`,
    );
  }
  if (command === 'DEL' || result.stdout.trim() === '') return previous;
  return JSON.parse(result.stdout) as Json;
}

function findPlugin(binDirs: readonly string[], type: string): string {
  for (const dir of binDirs) {
    const file = join(dir, type);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  throw new AmbitError('CNI_PLUGIN', `failed to find plugin "${type}" in path [${binDirs.join(' ')}]`);
}

/** A plugin tells its error as JSON on standard output (CNI specification, "Error"); a crashed one has only stderr. */
function reasonOf(result: { stdout: string; stderr: string; status: number }): string {
  try {
    const { msg, details } = JSON.parse(result.stdout) as { msg?: string; details?: string };
    if (msg) return details ? `${msg}: ${details}` : msg;
  } catch {
    // No JSON: fall through to what it printed.
  }
  return result.stderr.trim() || result.stdout.trim() || `exit ${result.status}`;
}
