// SPDX-License-Identifier: Apache-2.0
// A packet capture in a network namespace, and what the questions of the demo need to know about it.
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { type Background, background, run } from './run.ts';

/** One captured packet's transport header, as tcpdump prints it, and whether it carried bytes. */
export interface Packet {
  readonly protocol: 'tcp' | 'udp';
  readonly from: string;
  readonly fromPort: number;
  readonly to: string;
  readonly toPort: number;
  readonly bytes: number;
}

export interface Capture {
  /** Stops, and gives what was seen. */
  stop(): Promise<Captured>;
}

export interface Captured {
  readonly packets: readonly Packet[];
  /** Whether `text` stood anywhere in what crossed the wire. */
  contains(text: string): boolean;
}

let count = 0;

/** Captures on `device` in the namespace bound at `netns`, from the moment this resolves. `filter` is a pcap expression. */
export async function capture(netns: string, device: string, filter: string): Promise<Capture> {
  const file = join(tmpdir(), `ambit-capture-${process.pid}-${count++}.pcap`);
  const dump = background('nsenter', [
    `--net=${netns}`,
    'tcpdump',
    '-i',
    device,
    '-nn',
    '-U',
    '--immediate-mode',
    '-w',
    file,
    filter,
  ]);
  await eventually('tcpdump to listen', () => /listening on/.test(dump.output()), { everyMs: 20 });
  return {
    stop: async () => {
      await caughtUp(dump);
      await dump.stop('SIGINT');
      const bytes = readFileSync(file);
      const text = await run('tcpdump', ['-nn', '-q', '-t', '-r', file]);
      rmSync(file, { force: true });
      return {
        packets: text.split('\n').flatMap((line) => parsePacket(line) ?? []),
        contains: (wanted) => bytes.includes(wanted),
      };
    },
  };
}

const REPORT = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped/g;

/** Waits until the program has written what the kernel had for it when it was asked: at its end it drops what it has not read. */
async function caughtUp(dump: Background): Promise<void> {
  const report = async (): Promise<readonly number[]> => {
    const reports = () => [...dump.output().matchAll(REPORT)];
    const before = reports().length;
    dump.process.kill('SIGUSR1');
    return await eventually('a report of tcpdump', () => reports()[before]?.slice(1).map(Number), { everyMs: 20 });
  };
  const [, received = 0] = await report();
  await eventually('tcpdump to catch up', async () => {
    const [captured = 0, , dropped = 0] = await report();
    return captured + dropped >= received;
  });
}

// `IP 10.244.1.2.41234 > 10.244.2.3.15008: tcp 517` and `IP6 fd00::2.5353 > fd00::a.53: UDP, length 33`
const LINE = /^IP6? (\S+)\.(\d+) > (\S+)\.(\d+): (?:(tcp) (\d+)|(UDP), length (\d+))/;

export function parsePacket(line: string): Packet | undefined {
  const match = LINE.exec(line);
  if (match === null) return undefined;
  const [, from, fromPort, to, toPort, tcp, tcpBytes, , udpBytes] = match;
  return {
    protocol: tcp === undefined ? 'udp' : 'tcp',
    from: from!,
    fromPort: Number(fromPort),
    to: to!,
    toPort: Number(toPort),
    bytes: Number(tcpBytes ?? udpBytes),
  };
}
