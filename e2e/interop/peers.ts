// SPDX-License-Identifier: Apache-2.0
// The peers to meet: programs of another implementation with the contract of the part that they stand for (arguments,
// environment, files). Each is a file named by a variable.
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  mkdirSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Parts } from '../harness/parts.ts';

export interface Peers {
  readonly ztunnel?: string;
  readonly istiod?: string;
  /** Does what the agent's image does: has the plugin at /opt/cni/bin, then becomes the agent. */
  readonly cni?: string;
}

const VARIABLES = { ztunnel: 'PEER_ZTUNNEL', istiod: 'PEER_ISTIOD', cni: 'PEER_CNI' } as const;
const PLUGIN = 'PEER_CNI_PLUGIN';
/** Folders that a node of the playground has of its own, so that the machine's files there are not seen. */
const HIDDEN = ['/tmp', '/run', '/proc', '/sys', '/dev'];

export const HOW = `name at least one program of another implementation:
  PEER_ZTUNNEL=FILE   a node proxy, started as FILE proxy ztunnel
  PEER_ISTIOD=FILE    a control plane, started as FILE discovery …
  PEER_CNI=FILE       a node agent, started as FILE --log_output_level=…; the plugin that it installs is istio-cni
                      beside it, or PEER_CNI_PLUGIN=FILE`;

/** The peers that `env` names. Throws what is wrong with a file. `folder` receives the launcher of the agent. */
export function peersOf(env: (name: string) => string | undefined, folder: string): Peers {
  const file = (variable: string): string | undefined => {
    const path = env(variable);
    return path === undefined || path === '' ? undefined : usable(variable, path);
  };
  const ztunnel = file(VARIABLES.ztunnel);
  const istiod = file(VARIABLES.istiod);
  const agent = file(VARIABLES.cni);
  return {
    ...(ztunnel === undefined ? {} : { ztunnel }),
    ...(istiod === undefined ? {} : { istiod }),
    ...(agent === undefined ? {} : { cni: launcher(agent, file(PLUGIN) ?? besides(agent), folder) }),
  };
}

/** Which variables would allow `parts` to run; none when it can. */
export function missingFor(parts: Parts, peers: Peers): string[] {
  const wanted: Record<keyof typeof VARIABLES, boolean> = {
    ztunnel: Object.values(parts.ztunnel).includes('peer'),
    istiod: parts.istiod === 'peer',
    cni: parts.cni === 'peer',
  };
  return (['ztunnel', 'istiod', 'cni'] as const)
    .filter((part) => wanted[part] && peers[part] === undefined)
    .map((part) => VARIABLES[part]);
}

/** The words for `ambit playground up` that make a cluster of these parts. */
export function programWords(parts: Parts, peers: Peers): string[] {
  const words: string[] = [];
  if (parts.istiod === 'peer') words.push('--program', `istiod=${quoted(peers.istiod!)}`);
  if (parts.cni === 'peer') words.push('--program', `cni-agent=${quoted(peers.cni!)}`);
  for (const [node, maker] of Object.entries(parts.ztunnel)) {
    if (maker === 'peer') words.push('--program', `ztunnel@${node}=${quoted(peers.ztunnel!)}`);
  }
  return words;
}

function usable(variable: string, path: string): string {
  if (!existsSync(path)) throw new Error(`${variable}=${path}: there is no such file`);
  const file = realpathSync(path);
  if (HIDDEN.some((folder) => file.startsWith(`${folder}/`)))
    throw new Error(`${variable}=${path}: nodes have a ${file.split('/')[1]} of their own; put it into another folder`);
  try {
    accessSync(file, constants.X_OK);
  } catch {
    throw new Error(`${variable}=${path}: may not be executed`);
  }
  if (!statSync(file).isFile()) throw new Error(`${variable}=${path}: is no file`);
  return file;
}

function besides(agent: string): string {
  const plugin = join(dirname(agent), 'istio-cni');
  if (!existsSync(plugin))
    throw new Error(`there is no istio-cni beside ${agent}: name the plugin with ${PLUGIN}=FILE`);
  return usable(PLUGIN, plugin);
}

function launcher(agent: string, plugin: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'install-cni');
  const [from, program] = [plugin, agent].map((path) => `'${path.replaceAll("'", "'\\''")}'`);
  writeFileSync(
    file,
    `#!/bin/sh
# What the agent's image brings: the plugin, in the folder that it is installed from.
mkdir -p /opt/cni/bin && cp -f ${from} /opt/cni/bin/istio-cni && exec ${program} "$@"
`,
  );
  chmodSync(file, 0o755);
  return file;
}

function quoted(path: string): string {
  return /\s/.test(path) ? `"${path}"` : path;
}
