// SPDX-License-Identifier: Apache-2.0
// The file of certificate revocation lists: several in PEM, or one in DER. It may be missing, come later, and change; a list that cannot
// be used is told of and left out, the others count.
import { readFile } from 'node:fs/promises';
import type { Clock } from '#lib/kit/clock.ts';
import { describeError } from '#lib/kit/error.ts';
import type { Logger } from '#lib/kit/log.ts';
import { formatProblem } from '#lib/kit/result.ts';
import { looksLikeDer, readCrl } from '#lib/wire/crl.ts';
import { pemBlocks } from '#lib/wire/pem.ts';
import { watchFile } from '../source/watch-file.ts';

export interface RevocationFileOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Usable lists in DER, whenever the file was read; none when it is missing. */
  readonly onLists: (lists: readonly Uint8Array[]) => void;
}

export class RevocationFile {
  readonly #options: RevocationFileOptions;
  #stop = (): void => {};

  constructor(options: RevocationFileOptions) {
    this.#options = options;
  }

  /** Reads the file and goes on watching it. */
  async start(): Promise<void> {
    this.#stop = watchFile(this.#options.path, this.#options, () => void this.read());
    await this.read();
  }

  close(): void {
    this.#stop();
  }

  async read(): Promise<void> {
    const { path, log, onLists } = this.#options;
    let bytes: Buffer;
    try {
      bytes = await readFile(path);
    } catch (error) {
      log.warn('no revocation lists: nothing is taken for revoked', { file: path, error: describeError(error) });
      onLists([]);
      return;
    }
    const found = looksLikeDer(bytes) ? [bytes] : pemBlocks(bytes.toString('latin1'), 'X509 CRL');
    if (found.length === 0) log.error('the file of revocation lists holds none', { file: path });
    const usable = found.filter((der, i) => {
      const list = readCrl(der);
      if (list.ok) return true;
      log.error('a revocation list is not usable', {
        file: path,
        list: i + 1,
        problem: list.problems.map(formatProblem).join('; '),
      });
      return false;
    });
    log.info('revocation lists read', { file: path, lists: usable.length });
    onLists(usable);
  }
}
