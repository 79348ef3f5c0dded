// SPDX-License-Identifier: Apache-2.0
// The uplink, a program outside the cluster's network: leads from a Unix socket in the state folder to an API server that
// only this machine's own network can reach. `uplink.ts SOCKET HOST PORT`.
import { AmbitError } from '#lib/kit/error.ts';
import { runMain } from '#lib/kit/main.ts';
import { forward } from './forward.ts';

await runMain(async ([path, host, port]) => {
  if (path === undefined || host === undefined || port === undefined) {
    throw new AmbitError('UPLINK', 'usage: uplink.ts SOCKET HOST PORT');
  }
  await forward({ path }, { host, port: Number(port) });
  await new Promise<never>(() => undefined);
  return 0;
});
