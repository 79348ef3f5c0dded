// SPDX-License-Identifier: Apache-2.0
// Header blocks that arrive and what they are: a request that opens a stream, a response, trailers (RFC 9113 section 8.1).
import type { Endings } from './endings.ts';
import type { FloodGuard } from './flood.ts';
import type { H2Handler } from './handler.ts';
import { HeaderBlock } from './headers.ts';
import { HpackDecoder } from './hpack/decoder.ts';
import { ErrorCode, MAX_31 } from './protocol.ts';
import type { ReceiveWindows } from './receive-windows.ts';
import type { H2Settings, PeerSettings } from './settings.ts';
import { H2Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';
import { HeaderAssembler } from './validate.ts';

/** What the parts of one connection's receiving side have in common. */
export interface Receiving {
  readonly server: boolean;
  readonly settings: H2Settings;
  readonly peer: PeerSettings;
  readonly handler: H2Handler;
  readonly guard: FloodGuard;
  readonly endings: Endings;
  readonly windows: ReceiveWindows;
}

/** The messages of one connection's peer. */
export class Messages {
  readonly decoder: HpackDecoder;
  readonly #server: boolean;
  readonly #settings: H2Settings;
  readonly #peer: PeerSettings;
  readonly #handler: H2Handler;
  readonly #guard: FloodGuard;
  readonly #endings: Endings;
  readonly #windows: ReceiveWindows;
  readonly #table: StreamTable;
  readonly #assembler: HeaderAssembler;

  constructor({ endings, guard, handler, peer, server, settings, windows }: Receiving) {
    this.#server = server;
    this.#settings = settings;
    this.#peer = peer;
    this.#handler = handler;
    this.#guard = guard;
    this.#endings = endings;
    this.#windows = windows;
    this.#table = endings.table;
    this.decoder = new HpackDecoder(Math.max(settings.headerTableSize, 4096));
    this.#assembler = new HeaderAssembler(settings.maxHeaderListSize);
  }

  onBlock(id: number, buffer: Buffer, start: number, end: number, ends: boolean, selfDependent: boolean) {
    const assembler = this.#assembler;
    assembler.begin();
    const broken = this.decoder.decode(buffer, start, end, assembler);
    if (broken !== '')
      return this.#endings.fail(assembler.hopeless ? ErrorCode.enhanceYourCalm : ErrorCode.compressionError, broken);
    const stream = this.#table.find(id);
    if (stream === undefined) {
      if (this.#server) this.#onRequest(id, ends, selfDependent);
      else this.#endings.unexpected(id, 'HEADERS');
    } else if (stream.remoteEnded) this.#endings.streamError(stream, ErrorCode.streamClosed);
    else if (selfDependent || assembler.tooLarge) this.#endings.streamError(stream, ErrorCode.protocolError);
    else if (stream.headersReceived) this.#onTrailers(stream, ends);
    else this.#onResponse(stream, ends);
  }

  #onRequest(id: number, ends: boolean, selfDependent: boolean) {
    const endings = this.#endings;
    if ((id & 1) === 0) return endings.fail(ErrorCode.protocolError, 'a client opened a stream of even number');
    if (endings.draining === 2) return;
    if (!this.#table.advance(id)) return endings.unexpected(id, 'HEADERS');
    const assembler = this.#assembler;
    if (this.#table.open.size >= (this.#settings.maxConcurrentStreams ?? MAX_31))
      return endings.refuse(id, ErrorCode.refusedStream, 'too many concurrent streams', this.#peer.acknowledged);
    if (selfDependent) return endings.refuse(id, ErrorCode.protocolError, 'the stream depends on itself', true);
    if (assembler.tooLarge) {
      this.#table.rememberReset(id);
      endings.writer.headers(id, HeaderBlock.response(431), true, this.#peer.maxFrameSize);
      return endings.refuse(id, ErrorCode.noError, 'the header list is too large', true);
    }
    const malformed = assembler.finish('request', this.#settings.enableConnectProtocol === true);
    const { contentLength, block } = assembler;
    if (malformed !== '') return endings.refuse(id, ErrorCode.protocolError, malformed, true);
    if (ends && contentLength > 0)
      return endings.refuse(id, ErrorCode.protocolError, 'content-length without content', true);
    const stream = new H2Stream(id, this.#peer.initialWindowSize, this.#windows.initial);
    stream.headersReceived = true;
    stream.remoteEnded = ends;
    stream.bodyless = block.isTunnel;
    if (!stream.bodyless) stream.contentLeft = contentLength;
    this.#table.add(stream);
    this.#handler.onHeaders(stream, block, ends);
  }

  #onResponse(stream: H2Stream, ends: boolean) {
    const { contentLength, block } = this.#assembler;
    const { status } = block;
    const malformed = this.#assembler.finish('response', false) !== '' || (status < 200 && ends);
    const empty = stream.bodyless || status === 204 || status === 304;
    if (malformed || (ends && contentLength > 0 && !empty))
      return this.#endings.streamError(stream, ErrorCode.protocolError);
    if (status < 200) this.#endings.control();
    else {
      this.#guard.answered();
      stream.headersReceived = true;
      if (!empty) stream.contentLeft = contentLength;
      stream.remoteEnded = ends;
    }
    if (this.#endings.ended) return;
    this.#handler.onHeaders(stream, block, ends);
    if (ends) this.#endings.closeIfEnded(stream);
  }

  #onTrailers(stream: H2Stream, ends: boolean) {
    const { block } = this.#assembler;
    const malformed = this.#assembler.finish('trailers', false) !== '';
    // A tunnel carries nothing but DATA (section 8.5); content must be as long as announced.
    if (malformed || !ends || stream.contentLeft > 0 || (stream.bodyless && this.#server))
      return this.#endings.streamError(stream, ErrorCode.protocolError);
    stream.remoteEnded = true;
    this.#handler.onHeaders(stream, block, true);
    this.#endings.closeIfEnded(stream);
  }
}
