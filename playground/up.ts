// SPDX-License-Identifier: Apache-2.0
// `playground up`: makes the state folder, the listening socket outside and the keeper, then follows the cluster's own
// reports until it is ready. `playground down`: ends the keeper and sees to it that nothing is left.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { AmbitError } from '#lib/kit/error.ts';
import { readAccess } from './cluster/kubeconfig.ts';
import { DETACH, type Progress } from './cluster/progress.ts';
import type { PlaygroundConfig } from './config.ts';
import { endKeeper, keeperArguments, sweep } from './keeper.ts';
import { checkMachine, dropGroup, makeClusterGroup, SYSTEM_PATH } from './requirements.ts';
import { isRunning, readRecord, type StatePaths, startTime, statePaths, writeRecord } from './state.ts';

const DOWN_MS = 30_000;
const LOG_LINES = 15;

/** Brings a cluster up. Resolves when it is ready and goes on without us; throws with the reason when it is not to be. */
export async function up(config: PlaygroundConfig, onStep: (step: string) => void): Promise<StatePaths> {
  checkMachine();
  const paths = statePaths(config.stateRoot, config.name);
  await clear(paths);
  mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
  mkdirSync(paths.run);
  writeFileSync(paths.config, JSON.stringify(config));
  if (config.keep) writeFileSync(join(paths.dir, 'keep'), '');
  const group = makeClusterGroup(config.name);
  const api = await listenOutside();
  const log = openSync(join(paths.logs, 'supervisor.log'), 'a', 0o640);
  const keeper = spawn('/bin/sh', keeperArguments(keeperCommand(config, paths, group, api.port)), {
    detached: true,
    cwd: '/',
    stdio: ['ignore', log, log, 'pipe', api.fd],
    env: { PATH: SYSTEM_PATH, HOME: process.env['HOME'] ?? '/', NODE_COMPILE_CACHE: config.cacheDir },
  });
  api.close();
  const failed = new Promise<never>((_resolve, reject) => {
    keeper.once('error', (cause) => reject(new AmbitError('PLAYGROUND_START', 'cannot start /bin/sh', { cause })));
  });
  const start = startTime(keeper.pid ?? -1);
  if (keeper.pid === undefined || start === undefined) {
    dropGroup(group);
    return await failed;
  }
  writeRecord(paths, {
    ...{ name: config.name, keeperPid: keeper.pid, keeperStart: start, group, ready: false },
    kubeconfig: paths.kubeconfig,
  });
  const lifeline = keeper.stdio[3] as Duplex;
  const outcome = await Promise.race([follow(lifeline, onStep), failed]);
  if (outcome.kind === 'ready') {
    await new Promise<void>((resolve) => lifeline.end(DETACH, () => resolve()));
    lifeline.destroy();
    keeper.unref();
    return paths;
  }
  const said =
    outcome.kind === 'failed'
      ? outcome.message
      : `the cluster ended:\n${lastLines(join(paths.logs, 'supervisor.log'))}`;
  if (!config.keep) {
    await endKeeper(keeper.pid, start, DOWN_MS);
    await sweep(paths.dir, group);
  }
  throw new AmbitError('PLAYGROUND_UP', said, {
    advice: config.keep
      ? `logs are in ${paths.logs}; end it with: ambit playground down --name ${config.name}`
      : 'run it with --keep to look at what is left',
  });
}

/** Ends a cluster. False when there was none. */
export async function down(stateRoot: string, name: string): Promise<boolean> {
  const paths = statePaths(stateRoot, name);
  const record = readRecord(paths);
  if (record === undefined) return false;
  rmSync(join(paths.dir, 'keep'), { force: true });
  await endKeeper(record.keeperPid, record.keeperStart, DOWN_MS);
  await sweep(paths.dir, record.group);
  return true;
}

/** Refuses to build over a running cluster, and removes what a killed one left. */
async function clear(paths: StatePaths): Promise<void> {
  const record = readRecord(paths);
  if (record !== undefined && isRunning(record)) {
    throw new AmbitError('PLAYGROUND_EXISTS', `a playground named ${record.name} is running`, {
      advice: `end it with: ambit playground down --name ${record.name}, or pass another --name`,
    });
  }
  await sweep(paths.dir, record?.group);
}

function keeperCommand(config: PlaygroundConfig, paths: StatePaths, group: string | undefined, apiPort: number) {
  const node = [process.execPath, '--disable-warning=ExperimentalWarning'];
  const root = process.getuid?.() === 0;
  const uplink = config.kubeconfig === undefined ? undefined : readAccess(config.kubeconfig).server;
  const port = uplink?.port || (uplink?.protocol === 'http:' ? '80' : '443');
  return {
    stateDir: paths.dir,
    group,
    uplink:
      uplink === undefined
        ? []
        : [
            ...node,
            join(config.project, 'playground/cluster/uplink.ts'),
            paths.uplink,
            uplink.hostname.replace(/^\[|\]$/g, ''),
            port,
          ],
    cluster: [
      ...['unshare', ...(root ? [] : ['--user', '--map-root-user'])],
      ...['--mount', '--net', '--pid', '--ipc', '--uts', '--fork', '--kill-child', '--mount-proc'],
      ...[...node, join(config.project, 'playground/cluster/main.ts'), paths.dir, group ?? '', String(apiPort)],
    ],
  };
}

/** A listening socket on loopback outside, for the API: it stays outside whoever accepts on it. */
async function listenOutside(): Promise<{ port: number; fd: number; close: () => void }> {
  const server: Server & { _handle?: { fd: number } } = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', () => resolve()));
  const address = server.address();
  const fd = server._handle?.fd ?? -1;
  if (address === null || typeof address === 'string' || fd < 0) {
    throw new AmbitError('PLAYGROUND_START', 'this Node does not give away the descriptor of a listening socket');
  }
  return { port: address.port, fd, close: () => server.close() };
}

type Outcome = Exclude<Progress, { kind: 'step' }> | { readonly kind: 'ended' };

function follow(lifeline: Duplex, onStep: (step: string) => void): Promise<Outcome> {
  return new Promise((resolve) => {
    let text = '';
    lifeline.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (text + chunk).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        const progress = JSON.parse(line) as Progress;
        if (progress.kind === 'step') onStep(progress.step);
        else resolve(progress);
      }
    });
    lifeline.on('error', () => undefined);
    lifeline.once('close', () => resolve({ kind: 'ended' }));
  });
}

function lastLines(file: string): string {
  try {
    return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_LINES).join('\n');
  } catch {
    return 'it left no log';
  }
}
