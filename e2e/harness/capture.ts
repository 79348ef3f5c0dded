// SPDX-License-Identifier: Apache-2.0
// A packet capture in a network namespace, and what the questions of the demo need to know about it.
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { background, run } from './run.ts';

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
  await eventually('tcpdump to listen', () => /listening on/.test(dump.output()), { withinMs: 10_000, everyMs: 20 });
  return {
    stop: async () => {
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
