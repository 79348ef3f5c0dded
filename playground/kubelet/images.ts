// SPDX-License-Identifier: Apache-2.0
// The image map: what an image name stands for on this machine, which pulls no images. An entry gives the local command
// in place of the image's entry point, and more in place of its other settings.
import { AmbitError } from '#lib/kit/error.ts';

export interface ImageEntry {
  /** Image name; `*` stands for any characters. A pattern without a tag matches every tag and digest. */
  readonly image: string;
  /** The entry point: a container's `args` follow it. Empty for an image that has only a shell's tools. */
  readonly entrypoint: readonly string[];
  /** Default arguments, replaced by a container's `args`. */
  readonly cmd?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Folder that comes first on the PATH of its containers. */
  readonly tools?: string;
  readonly user?: number;
  /**
   * Words at the beginning of a container's `command` that mean this entry point, e.g. `install-cni`, so that manifests
   * written for the real image work. An unlisted command runs as it is.
   */
  readonly commands?: readonly string[];
}

/** The entry for an image; the longest matching pattern wins, the later one among equals. */
export function findImage(map: readonly ImageEntry[], image: string): ImageEntry | undefined {
  let best: ImageEntry | undefined;
  for (const entry of map) {
    if (matches(entry.image, image) && entry.image.length >= (best?.image.length ?? 0)) best = entry;
  }
  return best;
}

/**
 * The command line of a container: its `command` replaces the entry point, its `args` replace the default arguments,
 * and a `command` without `args` drops the default arguments (Kubernetes, "Define a Command and Arguments").
 */
export function commandLine(entry: ImageEntry, command: readonly string[], args: readonly string[]): string[] {
  const known = command.length > 0 && (entry.commands ?? []).includes(command[0]!.split('/').at(-1)!);
  if (command.length > 0 && !known) return [...command, ...args];
  const given = known ? [...command.slice(1), ...args] : args.length > 0 ? args : (entry.cmd ?? []);
  const line = [...entry.entrypoint, ...given];
  if (line.length === 0) {
    throw new AmbitError('IMAGE_COMMAND', `image ${entry.image} has no entry point and the container gives no command`);
  }
  return line;
}

function matches(pattern: string, image: string): boolean {
  const text = pattern
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  const tail = /[:@][^/]*$/.test(pattern) || pattern.endsWith('*') ? '' : '([:@][^/]*)?';
  return new RegExp(`^${text}${tail}$`).test(image);
}
