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
import { supervisorPid } from './namespaces.ts';
import { checkMachine, dropGroup, makeClusterGroup, SYSTEM_PATH } from './requirements.ts';
import { isRunning, readRecord, type StatePaths, startTime, statePaths, writeRecord } from './state.ts';

const DOWN_MS = 30_000;
const LOG_LINES = 15;

/** A cluster that is ready, and still ends with this process. */
export interface Running {
  readonly paths: StatePaths;
  /** From here on it goes on without us. */
  release(): Promise<void>;
  /** Ends it, unless it is to be kept. */
  abandon(): Promise<void>;
}

/** Brings a cluster up. Resolves when it is ready and goes on without us; throws with the reason when it is not to be. */
export async function up(config: PlaygroundConfig, onStep: (step: string) => void): Promise<StatePaths> {
  const running = await bringUp(config, onStep);
  await running.release();
  return running.paths;
}

/**
 * Brings a cluster up, and keeps hold of it.
 * @param beside a cluster that is up already: both are to live in one user namespace
 */
export async function bringUp(
  config: PlaygroundConfig,
  onStep: (step: string) => void,
  beside?: PlaygroundConfig,
): Promise<Running> {
  checkMachine();
  const paths = statePaths(config.stateRoot, config.name);
  await clear(paths);
  mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
  mkdirSync(paths.run);
  writeFileSync(paths.config, JSON.stringify(config), { mode: 0o600 });
  if (config.keep) writeFileSync(join(paths.dir, 'keep'), '');
  const group = makeClusterGroup(config.name);
  const api = await listenOutside();
  const log = openSync(join(paths.logs, 'supervisor.log'), 'a', 0o640);
  const keeper = spawn('/bin/sh', keeperArguments(keeperCommand(config, paths, group, api.port, beside)), {
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
  const { pid } = keeper;
  writeRecord(paths, {
    ...{ name: config.name, members: config.members, keeperPid: pid, keeperStart: start, group, ready: false },
    kubeconfig: paths.kubeconfig,
  });
  const lifeline = keeper.stdio[3] as Duplex;
  const end = async (): Promise<void> => {
    await endKeeper(pid, start, DOWN_MS);
    await sweep(paths.dir, group);
  };
  const outcome = await Promise.race([follow(lifeline, onStep), failed]);
  if (outcome.kind === 'ready') {
    const release = async (): Promise<void> => {
      await new Promise<void>((resolve) => lifeline.end(DETACH, () => resolve()));
      lifeline.destroy();
      keeper.unref();
    };
    return { paths, release, abandon: config.keep ? release : end };
  }
  const said =
    outcome.kind === 'failed'
      ? outcome.message
      : `the cluster ended:\n${lastLines(join(paths.logs, 'supervisor.log'))}`;
  if (!config.keep) await end();
  throw new AmbitError('PLAYGROUND_UP', said, {
    advice: config.keep
      ? `logs are in ${paths.logs}; end it with: ambit playground down --name ${config.name}`
      : 'run it with --keep to look at what is left',
  });
}

/** Ends a cluster, and those that were brought up with it when it is the first of them. False when there was none. */
export async function down(stateRoot: string, name: string): Promise<boolean> {
  const paths = statePaths(stateRoot, name);
  const record = readRecord(paths);
  if (record === undefined) return false;
  const [first, ...others] = record.members;
  if (first === name) await Promise.all(others.map((other) => down(stateRoot, other)));
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

function keeperCommand(
  config: PlaygroundConfig,
  paths: StatePaths,
  group: string | undefined,
  apiPort: number,
  beside: PlaygroundConfig | undefined,
) {
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
      ...(root ? ['unshare'] : beside === undefined ? ['unshare', '--user', '--map-root-user'] : inside(beside)),
      ...['--mount', '--net', '--pid', '--ipc', '--uts', '--fork', '--kill-child', '--mount-proc'],
      ...[...node, join(config.project, 'playground/cluster/main.ts'), paths.dir, group ?? '', String(apiPort)],
    ],
  };
}

/** The words that begin a command in the user namespace of a cluster and its new namespaces there. */
function inside({ name, stateRoot }: PlaygroundConfig): string[] {
  const pid = supervisorPid(readRecord(statePaths(stateRoot, name))?.keeperPid ?? -1);
  if (pid === undefined) throw new AmbitError('PLAYGROUND_START', `${name} has ended`);
  return ['nsenter', `--target=${pid}`, '--user', '--preserve-credentials', '--', 'unshare'];
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
