// SPDX-License-Identifier: Apache-2.0
// What a node proxy costs that knows a large mesh (known-mesh.ts), in a network namespace of its own, where nobody else's ports and
// names are. node e2e/load/known.ts [SIZES]
import { join } from 'node:path';
import { background } from '../harness/run.ts';

const ENTER = 'ip link set lo up && exec "$0" "$@"';

const program = ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'known-mesh.ts')];
const words = ['--net', 'sh', '-c', ENTER, process.execPath, ...program, ...process.argv.slice(2)];
const inside = background('unshare', words);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void inside.stop('SIGTERM'));
const code = await new Promise<number | null>((resolve) => inside.process.once('close', resolve));
console.log(inside.output());
process.exit(code ?? 1);
