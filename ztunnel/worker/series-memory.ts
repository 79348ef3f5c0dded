// SPDX-License-Identifier: Apache-2.0
// The series of connections between the same two parties, found without spelling out their labels: the parties' facts are one value each
// for as long as their records stand, so comparing references is enough. What is not found here is looked up by its labels.
import { AgingMap } from '#lib/kit/aging-map.ts';
import type { Party } from '#lib/proxy/telemetry/party.ts';
import type { ConnectionRecord } from '../telemetry/connection.ts';
import type { Series } from './series.ts';

/** Sources remembered in a generation, destinations of one, and series of one pair (services, identities, directions). */
const MAX_SOURCES = 1024;
const MAX_PAIRS = 512;
const MAX_OF_PAIR = 16;

type End = Party | undefined;

export class SeriesMemory {
  readonly #known = new AgingMap<End, AgingMap<End, Series[]>>({ most: MAX_SOURCES });

  /** The series of a record like this one, if it was put here and has not been forgotten since. */
  find(record: ConnectionRecord): Series | undefined {
    const list = this.#known.get(record.source)?.get(record.destination);
    if (list === undefined) return undefined;
    for (let i = 0; i < list.length; i++) {
      const series = list[i]!;
      if (!series.slots.forgotten && isBetween(series.sample, record)) return series;
    }
    return undefined;
  }

  /** Keeps the series, for records like its sample. */
  put(series: Series): void {
    const record = series.sample;
    let ofSource = this.#known.get(record.source);
    if (ofSource === undefined) {
      ofSource = new AgingMap({ most: MAX_PAIRS });
      this.#known.set(record.source, ofSource);
    }
    const list = ofSource.get(record.destination);
    if (list !== undefined && list.length < MAX_OF_PAIR) {
      list.push(series);
      return;
    }
    ofSource.set(record.destination, [series]);
  }
}

/** Whether both are of connections between the same two parties, and are counted and told alike. */
export function isBetween(known: ConnectionRecord, record: ConnectionRecord): boolean {
  return (
    known.source === record.source &&
    known.destination === record.destination &&
    known.service === record.service &&
    known.direction === record.direction &&
    known.security === record.security &&
    known.sourceIdentity === record.sourceIdentity &&
    known.destinationIdentity === record.destinationIdentity
  );
}
