// SPDX-License-Identifier: Apache-2.0
// What has come of a request's content while there is nobody to give it to, and for as long as the request may have to be sent
// once more; bounded, since content is never held for its own sake.
const LIMIT = 64 * 1024;

export class BodyStore {
  bytes = 0;
  /** More came than is kept: what there was is gone and the request cannot be sent again. */
  overflowed = false;
  #chunks: Buffer[] = [];

  /** It is as full as it may be. */
  get full(): boolean {
    return this.bytes >= LIMIT;
  }

  get chunks(): readonly Buffer[] {
    return this.#chunks;
  }

  /** Copies content. */
  add(bytes: Buffer, start: number, end: number): void {
    this.#chunks.push(Buffer.from(bytes.subarray(start, end)));
    this.bytes += end - start;
  }

  /** Copies content that has been sent on already; past the limit it lets go of everything. */
  keep(bytes: Buffer, start: number, end: number): void {
    if (this.overflowed) return;
    if (this.bytes + end - start > LIMIT) {
      this.overflowed = true;
      this.clear();
    } else this.add(bytes, start, end);
  }

  clear(): void {
    this.#chunks = [];
    this.bytes = 0;
  }
}
