// SPDX-License-Identifier: Apache-2.0
// Keeps the plugin in the node's CNI chain: program, kubeconfig, configuration; looks again whenever one of them, or the
// service account's token, changes. Other CNI plugins rewrite their configuration at start, which drops us.
//
//   writing ──valid──▶ ready ──something changed──▶ writing
//      └──no primary plugin yet──▶ waiting ──folder changed──▶ writing
import { mkdirSync, readFileSync, rmSync, watch } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { KUBECONFIG_NAME } from '../plugin/kube-reader.ts';
import { hasPlugin, PLUGIN_TYPE, type PluginSettings, primaryFile, withoutPlugin, withPlugin } from './conflist.ts';
import { modeOf, readConfFolder, replaceFile, replaceProgram } from './files.ts';
import { kubeconfigText } from './kubeconfig.ts';

export interface InstallerOptions {
  /** Folders as this process sees them. */
  readonly confDir: string;
  readonly binDir: string;
  readonly runDir: string;
  /** The same file for every runtime: pins the primary configuration's name; the lexically first when absent. */
  readonly confName?: string;
  /** A program to copy; without one a script is written that runs this checkout. */
  readonly program?: string;
  /** Where that script's Node keeps compiled code, on the node. */
  readonly cacheDir?: string;
  readonly settings: PluginSettings;
  readonly server: string;
  /** Folder with `token` and `ca.crt`. */
  readonly serviceAccountDir: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Told each time the state changes. */
  readonly onReady: (ready: boolean) => void;
  /** Told how each round ended: the metric istio_cni_installs_total. */
  readonly onResult: (
    result: 'SUCCESS' | 'COPY_BINARIES_FAILURE' | 'CREATE_KUBECONFIG_FAILURE' | 'CREATE_CNI_CONFIG_FAILURE',
  ) => void;
}

/** Changes come in bursts: a rename is several events. */
const QUIET_MS = 100;
const RETRY_MS = 5000;
/** Looks again even without an event: a watch can be lost with its folder. */
const LOOK_MS = 30_000;

export class Installer {
  readonly #options: InstallerOptions;
  readonly #stopped = new AbortController();
  #changed = Promise.withResolvers<void>();
  #running: Promise<void> = Promise.resolve();

  constructor(options: InstallerOptions) {
    this.#options = options;
  }

  start(): void {
    const { confDir, binDir, serviceAccountDir } = this.#options;
    mkdirSync(confDir, { recursive: true });
    mkdirSync(binDir, { recursive: true });
    for (const dir of [confDir, binDir, serviceAccountDir]) {
      watch(dir, { signal: this.#stopped.signal }, () => this.#changed.resolve()).on('error', () =>
        this.#changed.resolve(),
      );
    }
    this.#running = this.#run(this.#stopped.signal);
  }

  /** Ends watching; what is installed stays. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#changed.resolve();
    await this.#running;
  }

  /** Takes the plugin out of the chain again and removes what was placed. */
  uninstall(): void {
    const { confDir, binDir, runDir } = this.#options;
    for (const file of readConfFolder(confDir)) {
      const without = withoutPlugin(file);
      if (without !== undefined)
        replaceFile(join(confDir, file.name), without.text, modeOf(join(confDir, file.name), 0o600));
    }
    rmSync(join(runDir, KUBECONFIG_NAME), { force: true });
    rmSync(join(binDir, PLUGIN_TYPE), { force: true });
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, log, onReady } = this.#options;
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers<void>();
      let waitMs = LOOK_MS;
      try {
        const ready = this.#place();
        onReady(ready);
        if (!ready) log.info('no CNI configuration yet to be chained to', { folder: this.#options.confDir });
      } catch (error) {
        onReady(false);
        log.error('the plugin is not installed', { error: describeError(error) });
        waitMs = RETRY_MS;
      }
      await Promise.race([this.#changed.promise, clock.sleep(waitMs, signal).catch(() => undefined)]);
      if (!signal.aborted) await clock.sleep(QUIET_MS, signal).catch(() => undefined);
    }
  }

  /** One round; false when there is nothing to chain to. Writes only what is not as it should be. */
  #place(): boolean {
    const { confDir, confName, settings, onResult } = this.#options;
    this.#attempt('COPY_BINARIES_FAILURE', () => this.#placeProgram());
    this.#attempt('CREATE_KUBECONFIG_FAILURE', () => this.#placeKubeconfig());
    const placed = this.#attempt('CREATE_CNI_CONFIG_FAILURE', () => {
      const files = readConfFolder(confDir);
      const primary = primaryFile(
        confName === undefined ? files : files.filter(({ name }) => name === confName || name === `${confName}list`),
      );
      if (primary === undefined) return false;
      const wanted = withPlugin(primary, settings);
      if (wanted.name !== primary.name || wanted.text !== primary.text) {
        const path = join(confDir, wanted.name);
        replaceFile(path, wanted.text, modeOf(join(confDir, primary.name), 0o600));
        if (wanted.name !== primary.name) rmSync(join(confDir, primary.name), { force: true });
        this.#options.log.info('chained to the CNI configuration', {
          file: wanted.name,
          was: hasPlugin(primary.text) ? 'outdated' : 'without us',
        });
      }
      return true;
    });
    if (placed) onResult('SUCCESS');
    return placed;
  }

  #attempt<T>(failure: Parameters<InstallerOptions['onResult']>[0], step: () => T): T {
    try {
      return step();
    } catch (error) {
      this.#options.onResult(failure);
      throw error;
    }
  }

  #placeProgram(): void {
    const { binDir, program, cacheDir } = this.#options;
    const path = join(binDir, PLUGIN_TYPE);
    if (program !== undefined) replaceProgramIfOther(path, program);
    else replaceIfOther(path, launcherText(cacheDir), 0o755);
  }

  #placeKubeconfig(): void {
    const { serviceAccountDir, server, runDir } = this.#options;
    const read = (name: string): string => readFileSync(join(serviceAccountDir, name), 'utf8');
    replaceIfOther(
      join(runDir, KUBECONFIG_NAME),
      kubeconfigText({ server, caPem: read('ca.crt'), token: read('token').trim() }),
      0o600,
    );
  }
}

function replaceIfOther(path: string, text: string, mode: number): void {
  // Compared byte for byte: latin1 gives each byte a character.
  if (contentOf(path) !== Buffer.from(text).toString('latin1')) replaceFile(path, text, mode);
}

function replaceProgramIfOther(path: string, source: string): void {
  if (contentOf(path) !== contentOf(source)) replaceProgram(path, source);
}

function contentOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}

/** Runs the plugin from where this agent was started: with this Node, from this checkout. */
function launcherText(cacheDir: string | undefined): string {
  const main = join(dirname(import.meta.dirname), 'plugin/main.ts');
  return [
    '#!/bin/sh',
    ...(cacheDir === undefined ? [] : [`export NODE_COMPILE_CACHE='${cacheDir}'`]),
    `exec '${process.execPath}' --disable-warning=ExperimentalWarning '${main}' "$@"`,
    '',
  ].join('\n');
}
