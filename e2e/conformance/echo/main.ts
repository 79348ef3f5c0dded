// SPDX-License-Identifier: Apache-2.0
// The suite's image echo-advanced, as a program of ours: `server` with the flags of its manifests, `client` with the
// words that tests run by exec.
import { runClient } from './client.ts';
import { serve } from './server.ts';

const [role = '', ...words] = process.argv.slice(2);
if (role === 'client') process.exitCode = await runClient(words, (text) => process.stdout.write(text));
else await serve(words);
