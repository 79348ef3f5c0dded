// SPDX-License-Identifier: Apache-2.0
// Entry of a node's program: `main.ts CONFIG`. SIGTERM ends the pods with a short grace, as a node's shutdown does.
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AmbitError } from '#lib/kit/error.ts';
import { runMain } from '#lib/kit/main.ts';
import { startNode } from './app.ts';
import { readNodeConfig } from './node-config.ts';

const SHUTDOWN_GRACE_SECONDS = 5;
const CONFIG_POLL_MS = 20;

await runMain(async (argv) => {
  // The name by which programs on a node know the kubelet.
  process.title = 'kubelet';
  const file = argv[0];
  if (file === undefined) throw new AmbitError('NODE_CONFIG', 'usage: main.ts CONFIG');
  // The machine boots while the API server still starts; the file comes when there is one.
  while (!existsSync(file)) await delay(CONFIG_POLL_MS);
  const app = await startNode(readNodeConfig(file));
  await new Promise<void>((resolve) => process.once('SIGTERM', () => resolve()));
  await app.stop(SHUTDOWN_GRACE_SECONDS);
  return 0;
});
