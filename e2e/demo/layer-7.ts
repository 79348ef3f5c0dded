// SPDX-License-Identifier: Apache-2.0
// A waypoint for one service account: statements (j) to (n). They come after the label was taken away, so the first
// enrols the shop again.
import type { Cluster } from '../harness/cluster.ts';
import { eventually } from '../harness/eventually.ts';
import { ROOT } from '../harness/run.ts';
import { type Check, expect } from './check.ts';

const SAMPLES = 'manifests/samples/waypoint';
const SERVICE = 'http://recipes.shop:8080/';
/** How many requests show a share of 5 %, and between which bounds it has to lie. */
const MANY = 20_000;
const SHARE = { least: 0.045, most: 0.055 };
/** Of so many requests one burst in a thousand misses the bounds by chance; then so many bursts are asked for, whose sum misses them once in 10^9. */
const BURSTS = 4;

interface Burst {
  readonly statuses: Readonly<Record<string, number>>;
  readonly versions: Readonly<Record<string, number>>;
  readonly failures: Readonly<Record<string, number>>;
}

/** Requests from the shopper's pod, and who answered. */
async function ask(cluster: Cluster, url: string, count: number, ...headers: string[]): Promise<Burst> {
  const program = ['node', '--disable-warning=ExperimentalWarning', `${ROOT}/playground/samples/main.ts`];
  const words = ['exec', '-n', 'shop', 'deploy/shopper', '--', ...program, 'burst', url, String(count), ...headers];
  return JSON.parse(await cluster.kubectl(...words)) as Burst;
}

function all({ failures, statuses }: Burst, status: string, count: number): boolean {
  return statuses[status] === count && Object.keys(failures).length === 0;
}

/** One request by curl from a pod: its status, and whether it took as long as asked. */
async function status(cluster: Cluster, from: string, ...words: string[]): Promise<string> {
  const { stdout } = await cluster.exec(
    'shop',
    from,
    'curl',
    '-s',
    '-m',
    '20',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    ...words,
  );
  return stdout;
}

export const canary: Check = {
  id: 'j',
  sentence: 'a waypoint for one service account sends 5 % to a canary, whatever the number of its pods',
  run: async ({ cluster }) => {
    await cluster.kubectl('label', 'namespace', 'shop', '--overwrite', 'istio.io/dataplane-mode=ambient');
    await cluster.apply(`${SAMPLES}/recipes.yaml`);
    await cluster.apply(`${SAMPLES}/canary.yaml`);
    const { stderr, status: code } = await cluster.ambit('-n', 'shop', 'waypoint', 'status', 'recipes-waypoint');
    expect(code === 0, `the waypoint does not become ready: ${stderr}`);
    await cluster.ready('shop', 11);
    await eventually('the route to be in force', async () => {
      const { versions } = await ask(cluster, SERVICE, 20, 'x-version:v2');
      return versions['v2'] === 20;
    });
    let [asked, canaries] = [0, 0];
    const burst = async (): Promise<boolean> => {
      const answers = await ask(cluster, SERVICE, MANY);
      expect(all(answers, '200', MANY), `not all were answered: ${JSON.stringify(answers)}`);
      asked += MANY;
      canaries += answers.versions['v2'] ?? 0;
      return canaries >= SHARE.least * asked && canaries <= SHARE.most * asked;
    };
    let fits = await burst();
    if (!fits) for (let n = 1; n < BURSTS; n++) fits = await burst();
    const share = `${((canaries / asked) * 100).toFixed(2)} %`;
    expect(fits, `v2 got ${share} of ${asked}`);
    return `${asked} requests to 2 pods of v1 and 3 of v2: ${share} went to v2`;
  },
};

export const byHeader: Check = {
  id: 'k',
  sentence: 'a header chooses the version',
  run: async ({ cluster }) => {
    const burst = await ask(cluster, SERVICE, 500, 'x-version:v2');
    expect(burst.versions['v2'] === 500, `others answered: ${JSON.stringify(burst)}`);
    return '500 of 500 requests with x-version: v2 went to v2';
  },
};

export const retried: Check = {
  id: 'l',
  sentence: 'retries hide a pod that fails',
  run: async ({ cluster }) => {
    const [pod] = await cluster.pods('shop', 'app=recipes,version=v1');
    const local = (method: string, path: string) =>
      cluster.exec('shop', pod!.name, 'curl', '-s', '-m', '20', '-X', method, `http://localhost:8080${path}`);
    await local('POST', '/fail');
    const burst = await ask(cluster, SERVICE, 1000);
    const { refused } = JSON.parse((await local('GET', '/count')).stdout) as { refused: number };
    await local('POST', '/heal');
    expect(refused > 0, 'the failing pod was not asked');
    expect(all(burst, '200', 1000), `failures show: ${JSON.stringify(burst)}`);
    return `${pod!.name} refused ${refused} requests; all 1000 were answered 200`;
  },
};

export const faulted: Check = {
  id: 'm',
  sentence: 'a fault is injected for those who ask for it, and for nobody else',
  run: async ({ cluster }) => {
    await cluster.apply(`${SAMPLES}/fault.yaml`);
    const url = 'http://recipes-v2.shop:8080/';
    await eventually(
      'the fault',
      async () => (await status(cluster, 'deploy/shopper', '-H', 'x-trouble: yes', url)) === '418',
    );
    const burst = await ask(cluster, url, 100);
    expect(all(burst, '200', 100), `others see it too: ${JSON.stringify(burst)}`);
    await cluster.kubectl('delete', 'virtualservice', '-n', 'shop', 'recipes-v2');
    return 'status 418 with x-trouble: yes, 100 of 100 others answered 200';
  },
};

export const deniedAtLayer7: Check = {
  id: 'n',
  sentence: 'an AuthorizationPolicy denies a method, and log and explain name it',
  run: async ({ cluster }) => {
    const write = (from: string) => status(cluster, from, '-X', 'POST', `${SERVICE}new`);
    expect((await write('deploy/shopper')) === '200', 'the shopper cannot write even without a policy');
    await cluster.apply(`${SAMPLES}/read-only.yaml`);
    await eventually('the shopper to be refused', async () => (await write('deploy/shopper')) === '403');
    expect((await status(cluster, 'deploy/shopper', SERVICE)) === '200', 'reading is refused too');
    expect((await write('deploy/web')) === '200', 'the front is refused too');
    await eventually("a line of the waypoint's log that names the policy", async () => {
      const log = await cluster.kubectl(
        'logs',
        '-n',
        'shop',
        '-l',
        'gateway.networking.k8s.io/gateway-name=recipes-waypoint',
        '--tail=-1',
      );
      return log.split('\n').some((line) => line.includes('shop/read-only') && line.includes('sa/shopper'));
    });
    const [shopper] = await cluster.pods('shop', 'app=shopper');
    const words = [
      '--from',
      `shop/${shopper!.name}`,
      '--to',
      'recipes.shop:8080',
      '--method',
      'POST',
      '--path',
      '/new',
    ];
    const { stdout, stderr } = await cluster.ambit('explain', ...words);
    expect(/DENIED/.test(stdout) && /shop\/read-only/.test(stdout), `explain does not name it:\n${stdout}${stderr}`);
    await cluster.kubectl('delete', 'authorizationpolicy', '-n', 'shop', 'read-only');
    return 'POST by the shopper is 403, by the front 200, reading 200; log and explain name shop/read-only';
  },
};

export const LAYER_7: readonly Check[] = [canary, byHeader, retried, faulted, deniedAtLayer7];
