// SPDX-License-Identifier: Apache-2.0
// A root file system of its own for a node or a container: the machine's directories, each under an overlay that takes
// the writes, and empty `/run` and `/tmp`. Nothing written in there reaches the machine, and any path can be a mount point.
//
// The builder works before the mounts exist: it makes mount points in the places that will show through (the overlay's
// upper folder, the source of an earlier bind), and `fstab()` is then mounted in one go inside the new mount namespace.
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { AmbitError } from '#lib/kit/error.ts';

/** Top-level folders that are made afresh instead of taken from the machine. */
const FRESH: Readonly<Record<string, number>> = { proc: 0o555, sys: 0o555, dev: 0o755, run: 0o755, tmp: 0o1777 };
const SKIPPED = new Set(['lost+found']);
const MAX_LINKS = 40;

export interface RootOptions {
  /** Folder that receives `root`, `upper` and `work`; must lie on a file system that can be an overlay's upper one. */
  readonly base: string;
  /** Where the machine's root file system is visible: `/`, or a bind mount of it. */
  readonly lower: string;
  /** Overlay attributes for an unprivileged mount (overlayfs documentation, `userxattr`). */
  readonly userxattr?: boolean;
  /** The overlays are mounted read-only. */
  readonly readOnly?: boolean;
}

export interface BindOptions {
  readonly readOnly?: boolean;
  /** Takes what is mounted below the source along, and keeps receiving what is mounted there later. */
  readonly recursive?: boolean;
}

interface Mount {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly options: string;
}

export class RootBuilder {
  readonly root: string;
  readonly #options: RootOptions;
  readonly #overlaid = new Set<string>();
  readonly #mounts: Mount[] = [];
  /** Real target path inside the root → source folder or file that will be seen there. */
  readonly #bound = new Map<string, string>();

  constructor(options: RootOptions) {
    this.#options = options;
    this.root = join(options.base, 'root');
    mkdirSync(this.root, { recursive: true, mode: 0o755 });
    this.#mounts.push({ source: this.root, target: '', type: 'none', options: 'rbind' });
    for (const [name, mode] of Object.entries(FRESH)) makeFolder(join(this.root, name), mode);
    for (const entry of readdirSync(options.lower, { withFileTypes: true })) {
      if (entry.name in FRESH || SKIPPED.has(entry.name)) continue;
      if (entry.isSymbolicLink()) this.#copyLink(entry.name);
      else if (entry.isDirectory()) this.#overlay(entry.name);
    }
  }

  /** Shows `source` (a path of the namespace the mounts are made in) at `target` inside the root. */
  bind(source: string, target: string, options: BindOptions = {}): void {
    const real = this.#makePoint(target, statSync(source).isDirectory());
    const words = [options.recursive === true ? 'rbind' : 'bind', ...(options.readOnly === true ? ['ro'] : [])];
    this.#mounts.push({ source, target: real, type: 'none', options: words.join(',') });
    this.#bound.set(real, source);
  }

  /** Mounts a file system of type `type` at `target`. `backing` must be given where mount points will be needed below it. */
  mount(type: string, target: string, options = 'defaults'): void {
    this.#mounts.push({ source: type, target: this.#makePoint(target, true), type, options });
  }

  /** The mount table, in order, for `mount -a -T`. */
  fstab(): string {
    return this.#mounts
      .map(({ source, target, type, options }) => [source, this.root + target, type, options].map(escaped).join(' '))
      .map((line) => `${line} 0 0\n`)
      .join('');
  }

  /** A writable path of the present namespace that will be seen as `target` in the root; its parents are made. */
  backing(target: string): string {
    const real = this.#resolve(target);
    this.#makeParents(real);
    return this.#writable(real);
  }

  #copyLink(name: string): void {
    const path = join(this.root, name);
    if (!existsOrLink(path)) symlinkSync(readlinkSync(join(this.#options.lower, name)), path);
  }

  #overlay(name: string): void {
    const { base, lower, readOnly, userxattr } = this.#options;
    const lowerdir = join(lower, name);
    const mode = statSync(lowerdir).mode & 0o7777;
    // A user namespace may not put an overlay over a folder with mounts in it (they are locked together).
    if (userxattr === true && hasMounts(lowerdir)) {
      makeFolder(join(this.root, name), mode);
      this.#mounts.push({ source: lowerdir, target: `/${name}`, type: 'none', options: 'rbind' });
      this.#bound.set(`/${name}`, lowerdir);
      return;
    }
    const upperdir = join(base, 'upper', name);
    const workdir = join(base, 'work', name);
    makeFolder(join(this.root, name), mode);
    makeFolder(upperdir, mode);
    makeFolder(workdir, 0o700);
    const words = [`lowerdir=${lowerdir}`, `upperdir=${upperdir}`, `workdir=${workdir}`];
    if (userxattr === true) words.push('userxattr');
    if (readOnly === true) words.push('ro');
    this.#mounts.push({ source: 'overlay', target: `/${name}`, type: 'overlay', options: words.join(',') });
    this.#overlaid.add(name);
  }

  #makePoint(target: string, folder: boolean): string {
    const real = this.#resolve(target);
    this.#makeParents(real);
    if (this.#locate(real) === undefined) {
      const path = this.#writable(real);
      if (folder) mkdirSync(path, { mode: 0o755 });
      else writeFileSync(path, '');
    }
    return real;
  }

  #makeParents(real: string): void {
    const parts = real.split('/').slice(1, -1);
    for (let i = 1; i <= parts.length; i++) {
      const parent = `/${parts.slice(0, i).join('/')}`;
      const path = this.#writable(parent);
      if (existsSync(path)) continue;
      const shown = this.#locate(parent);
      makeFolder(path, shown === undefined ? 0o755 : statSync(shown).mode & 0o7777);
    }
  }

  /** `target` with the symbolic links that the finished root will have followed. */
  #resolve(target: string): string {
    const rest = target.split('/').filter((part) => part !== '' && part !== '.');
    let path: string[] = [];
    for (let links = 0; rest.length > 0; ) {
      const part = rest.shift()!;
      if (part === '..') {
        path.pop();
        continue;
      }
      const shown = this.#locate(`/${[...path, part].join('/')}`);
      if (shown !== undefined && lstatSync(shown).isSymbolicLink()) {
        if (++links > MAX_LINKS) throw new AmbitError('ROOT_LINKS', `too many symbolic links on the way to ${target}`);
        const to = readlinkSync(shown);
        if (to.startsWith('/')) path = [];
        rest.unshift(...to.split('/').filter((name) => name !== '' && name !== '.'));
      } else path.push(part);
    }
    return `/${path.join('/')}`;
  }

  /** The existing file that will show at `real`, if any. */
  #locate(real: string): string | undefined {
    const covered = this.#cover(real);
    if (covered !== undefined) return existsOrLink(covered) ? covered : undefined;
    const top = real.split('/')[1]!;
    const places = this.#overlaid.has(top)
      ? [join(this.#options.base, 'upper', real), join(this.#options.lower, real)]
      : [join(this.root, real)];
    return places.find(existsOrLink);
  }

  #writable(real: string): string {
    const covered = this.#cover(real);
    if (covered !== undefined) return covered;
    return this.#overlaid.has(real.split('/')[1]!) ? join(this.#options.base, 'upper', real) : join(this.root, real);
  }

  #cover(real: string): string | undefined {
    for (let path = real; path !== '/'; path = dirname(path)) {
      const source = this.#bound.get(path);
      if (source !== undefined) return source + real.slice(path.length);
    }
    return undefined;
  }
}

function makeFolder(path: string, mode: number): void {
  mkdirSync(path, { recursive: true });
  chmodSync(path, mode);
}

function hasMounts(dir: string): boolean {
  const table = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return table.some((line) => line.split(' ')[4]?.startsWith(`${dir}/`));
}

function existsOrLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** fstab(5): spaces, tabs, newlines and backslashes as octal. */
function escaped(word: string): string {
  return word.replace(/[ \t\n\\]/g, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
