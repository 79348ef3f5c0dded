// SPDX-License-Identifier: Apache-2.0
// The images a playground knows: the project's own programs, the samples, and images that only give a shell its tools.
import { dirname, join } from 'node:path';
import type { ImageEntry } from './kubelet/images.ts';

export const PROGRAMS = ['istiod', 'ztunnel', 'cni-agent', 'waypoint'] as const;
export type ProgramName = (typeof PROGRAMS)[number];
/** Commands in place of the project's programs, by name, or by name and node (`ztunnel@node-1`), which wins there. */
export type ReplacedPrograms = Readonly<Partial<Record<ProgramName | `${ProgramName}@${string}`, readonly string[]>>>;

/** Image of each program in `manifests/`, and the commands that real images of its kind are started with. */
const IMAGES: Readonly<Record<ProgramName, { readonly image: string; readonly commands: readonly string[] }>> = {
  istiod: { image: 'ambit/istiod', commands: ['pilot-discovery', 'istiod'] },
  ztunnel: { image: 'ambit/ztunnel', commands: ['ztunnel'] },
  'cni-agent': { image: 'ambit/cni', commands: ['install-cni', 'cni-agent'] },
  waypoint: { image: 'ambit/waypoint', commands: ['waypoint'] },
};

const SHELLS = ['ambit/shell', 'busybox', 'alpine', 'debian', 'ubuntu', 'curlimages/curl', 'docker.io/*/busybox'];

export interface ImageMapOptions {
  readonly project: string;
  /** The Node binary that runs the samples. */
  readonly node: string;
  readonly programs: ReplacedPrograms;
  readonly images: readonly { readonly image: string; readonly command: readonly string[] }[];
}

/** The whole map of the node named `nodeName`; what a user adds comes last and wins. */
export function imageMap(nodeName: string, { project, node, programs, images }: ImageMapOptions): ImageEntry[] {
  const run = (path: string): string[] => [node, '--disable-warning=ExperimentalWarning', join(project, path)];
  return [
    ...PROGRAMS.map((name) => ({
      ...IMAGES[name],
      entrypoint: programs[`${name}@${nodeName}`] ?? programs[name] ?? [join(project, 'bin', name)],
    })),
    { image: 'ambit/dns', entrypoint: run('playground/dns/main.ts') },
    { image: 'ambit/samples', entrypoint: run('playground/samples/main.ts') },
    ...SHELLS.map((image) => ({ image, entrypoint: [], cmd: ['/bin/sh'] })),
    // As in an image, what lies beside the entry point is found by exec.
    ...images.map(({ image, command }) => ({ image, entrypoint: command, tools: dirname(command[0] ?? '') })),
  ];
}
