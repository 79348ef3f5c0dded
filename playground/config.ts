// SPDX-License-Identifier: Apache-2.0
// The settings of `playground up`, from the command line and the environment, all checked together.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigReader } from '#lib/kit/config.ts';
import { AmbitError } from '#lib/kit/error.ts';
import { formatProblem, type Problem } from '#lib/kit/result.ts';
import type { Manifest } from './cluster/install.ts';
import { MAX_CLUSTERS, MAX_MACHINES, MAX_NODES, planCluster } from './fabric/plan.ts';
import { PROGRAMS, type ProgramName, type ReplacedPrograms } from './image-map.ts';

export interface UpFlags {
  readonly name: string;
  readonly nodes: string;
  readonly clusters: string;
  readonly machines: string;
  readonly program: readonly string[];
  readonly image: readonly string[];
  readonly manifest: readonly string[];
  readonly kubeconfig?: string | undefined;
  readonly keep: boolean;
  readonly mesh: boolean;
  readonly timeout: string;
}

export interface PlaygroundConfig {
  readonly name: string;
  /** All clusters that are brought up together, this one included, by number; the first stands for all of them. */
  readonly members: readonly string[];
  /** 1-based number of the cluster among them. */
  readonly cluster: number;
  readonly nodes: number;
  /** Number of machines beside the nodes. */
  readonly machines: number;
  readonly programs: ReplacedPrograms;
  /** Further images: name or pattern → command. */
  readonly images: readonly { readonly image: string; readonly command: readonly string[] }[];
  /** Files applied with the cluster's own manifests, absolute. */
  readonly manifests: readonly string[];
  /** Objects applied with them. */
  readonly objects: readonly Manifest[];
  /** A kubeconfig of another API server, absolute; undefined starts the embedded one. */
  readonly kubeconfig: string | undefined;
  /** Leave everything for inspection when `up` fails. */
  readonly keep: boolean;
  /** Install the mesh. */
  readonly mesh: boolean;
  readonly timeoutMs: number;
  readonly stateRoot: string;
  readonly cacheDir: string;
  readonly project: string;
  readonly logLevel: string;
}

const DEFAULT_TIMEOUT_SECONDS = 120;
const NAME = /^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/;

/** Where clusters of this user keep their state: `AMBIT_PLAYGROUND_DIR`, or a folder of the user's own in /tmp. */
export function stateRootOf(env: NodeJS.ProcessEnv): string {
  return resolve(
    new ConfigReader((name) => env[name]).string(
      'AMBIT_PLAYGROUND_DIR',
      `/tmp/ambit-playground-${process.getuid?.() ?? 0}`,
    ),
  );
}

/** One for each cluster: `NAME`, `NAME-2`, … Throws `PLAYGROUND_CONFIG` with everything that is wrong. */
export function configsOf(flags: UpFlags, env: NodeJS.ProcessEnv, project: string): readonly PlaygroundConfig[] {
  const first = configOf(flags, env, project);
  return first.members.map((name, i) => ({ ...first, name, cluster: i + 1 }));
}

/** The first cluster's. Throws `PLAYGROUND_CONFIG` with everything that is wrong. */
export function configOf(flags: UpFlags, env: NodeJS.ProcessEnv, project: string): PlaygroundConfig {
  const problems: Problem[] = [];
  const bad = (field: string, message: string, fix: string): undefined => {
    problems.push({ field, message, fix });
    return undefined;
  };
  if (!NAME.test(flags.name))
    bad('--name', `${flags.name} is no name for a cluster`, 'use small letters, digits and hyphens');
  const nodes = Number(flags.nodes);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > MAX_NODES) {
    bad('--nodes', `${flags.nodes} is no number of nodes`, `write a number from 1 to ${MAX_NODES}`);
  }
  const machines = Number(flags.machines);
  if (!Number.isInteger(machines) || machines < 0 || machines > MAX_MACHINES) {
    bad('--machines', `${flags.machines} is no number of machines`, `write a number from 0 to ${MAX_MACHINES}`);
  }
  const clusters = Number(flags.clusters);
  if (!Number.isInteger(clusters) || clusters < 1 || clusters > MAX_CLUSTERS) {
    bad('--clusters', `${flags.clusters} is no number of clusters`, `write a number from 1 to ${MAX_CLUSTERS}`);
  } else if (clusters > 1 && flags.kubeconfig !== undefined) {
    bad('--clusters', 'several clusters cannot share one API server', 'leave --kubeconfig out');
  }
  const seconds = Number(flags.timeout);
  if (!(seconds > 0))
    bad('--timeout', `${flags.timeout} is no number of seconds`, `write for example ${DEFAULT_TIMEOUT_SECONDS}`);
  const programs: Partial<Record<string, readonly string[]>> = {};
  for (const text of flags.program) {
    const [replaced, command] = assignment(text);
    const [name = '', node] = replaced.split('@');
    if (!PROGRAMS.includes(name as ProgramName) || command.length === 0) {
      bad(
        '--program',
        `${text} names no program to replace`,
        `write NAME=COMMAND or NAME@NODE=COMMAND with NAME one of ${PROGRAMS.join(', ')}`,
      );
    } else if (
      node !== undefined &&
      !(nodes <= MAX_NODES && planCluster(nodes).nodes.some((each) => each.name === node))
    ) {
      bad('--program', `${text}: there is no node ${node}`, `write node-1 to node-${nodes}`);
    } else programs[replaced] = command;
  }
  const images = flags.image.flatMap((text) => {
    const [image, command] = assignment(text);
    if (image !== '') return [{ image, command }];
    bad('--image', `${text} maps no image`, 'write IMAGE=COMMAND');
    return [];
  });
  const manifests = flags.manifest.map((file) => resolve(file));
  for (const file of manifests)
    if (!existsSync(file)) bad('--manifest', `${file} does not exist`, 'name a file of Kubernetes objects');
  const kubeconfig = flags.kubeconfig === undefined ? undefined : resolve(flags.kubeconfig);
  if (kubeconfig !== undefined && !existsSync(kubeconfig))
    bad('--kubeconfig', `${kubeconfig} does not exist`, 'name a kubeconfig file');
  if (problems.length > 0) {
    throw new AmbitError('PLAYGROUND_CONFIG', problems.map(formatProblem).join('\n'), {
      advice: 'see: ambit playground up --help',
    });
  }
  const reader = new ConfigReader((name) => env[name]);
  return {
    name: flags.name,
    members: Array.from({ length: clusters }, (_, i) => (i === 0 ? flags.name : `${flags.name}-${i + 1}`)),
    cluster: 1,
    objects: [],
    ...{ nodes, machines, programs, images, manifests, kubeconfig, keep: flags.keep, mesh: flags.mesh },
    timeoutMs: seconds * 1000,
    stateRoot: stateRootOf(env),
    cacheDir: reader.string('NODE_COMPILE_CACHE', join(project, 'node_modules/.cache/ambit/compile')),
    project,
    logLevel: reader.string('AMBIT_LOG_LEVEL', 'info'),
  };
}

/** `NAME=COMMAND with words`; the command's words are split at spaces, quotes keep them together. */
function assignment(text: string): [string, string[]] {
  const at = text.indexOf('=');
  if (at <= 0) return ['', []];
  const words = text.slice(at + 1).match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  return [text.slice(0, at), words.map((word) => word.replace(/^(["'])(.*)\1$/, '$2'))];
}

/** Reads what `up` wrote for the cluster's own process. */
export function readConfig(file: string): PlaygroundConfig {
  return JSON.parse(readFileSync(file, 'utf8')) as PlaygroundConfig;
}
