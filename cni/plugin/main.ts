// SPDX-License-Identifier: Apache-2.0
// The CNI plugin: chained last, changes nothing of the network itself. Standard output belongs to the CNI result;
// what it has to say goes to standard error (CNI specification 1.0.0, "Protocol").
import { readFileSync } from 'node:fs';
import { describeError } from '#lib/kit/error.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { add } from './add.ts';
import { addEvent, enrol } from './agent-client.ts';
import { podOf, readConfig } from './config.ts';
import { readAccess, readObject } from './kube-reader.ts';

const VERSIONS = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'];
/** Codes below 100 are the specification's ("Error"): 6 is a configuration that cannot be decoded. */
const UNREADABLE = 6;
const REFUSED = 100;

const env = process.env;
switch (env['CNI_COMMAND']) {
  case 'VERSION':
    print({ cniVersion: '1.0.0', supportedVersions: VERSIONS });
    break;
  case 'ADD':
    await addPod();
    break;
  case 'DEL':
  case 'CHECK':
    // The agent follows pods through the API; there is nothing in the network that is ours to take back or check.
    break;
  default:
    refuse(
      '1.0.0',
      4,
      `CNI_COMMAND ${JSON.stringify(env['CNI_COMMAND'] ?? '')} is unknown`,
      'one of ADD, DEL, CHECK, VERSION',
    );
}

async function addPod(): Promise<void> {
  const config = readConfig(readFileSync(0, 'utf8'));
  if (!config.ok)
    return refuse('1.0.0', UNREADABLE, 'bad network configuration', config.problems.map(formatProblem).join('; '));
  const { cniVersion, previous, runDir, addresses } = config.value;
  try {
    const pod = podOf(env['CNI_ARGS'] ?? '');
    const verdict = await add(config.value, pod, {
      read: (path) => readObject(readAccess(runDir), path),
      enrol: (reference) => enrol(runDir, addEvent(env['CNI_NETNS'] ?? '', reference, addresses)),
    });
    console.error(
      JSON.stringify({ pod: `${pod?.namespace}/${pod?.name}`, enrolled: verdict.eligible, reason: verdict.reason }),
    );
    print(previous ?? { cniVersion });
  } catch (error) {
    refuse(
      cniVersion,
      REFUSED,
      'the pod must not start: it may belong to the mesh and is not enrolled',
      describeError(error),
    );
  }
}

function print(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

function refuse(cniVersion: string, code: number, msg: string, details: string): void {
  print({ cniVersion, code, msg, details });
  process.exitCode = 1;
}
