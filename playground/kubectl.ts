// SPDX-License-Identifier: Apache-2.0
// Real kubectl as a program: `node playground/kubectl.ts WORDS…`. Becomes kubectl, so signals and terminals just work.
import { runMain } from '#lib/kit/main.ts';
import { cacheFolder, kubernetesTool } from './kubernetes-tools.ts';

await runMain(async (argv, env) => {
  const kubectl = await kubernetesTool('kubectl', cacheFolder(env), () => {
    process.stderr.write('fetching kubectl (36 MB, once)\n');
  });
  return process.execve!(kubectl, [kubectl, ...argv], env);
});
