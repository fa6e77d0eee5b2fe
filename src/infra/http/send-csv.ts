import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import { attachment } from '../files/content-disposition.js';

/** Answers with a table to be saved under this name, while its pieces are made. No cache keeps it: it is of people. */
export function sendCsv(
  reply: FastifyReply,
  fileName: string,
  pieces: AsyncIterable<string> | Iterable<string>,
): FastifyReply {
  return reply
    .header('content-type', 'text/csv; charset=utf-8')
    .header('content-disposition', attachment(fileName))
    .header('cache-control', 'no-store')
    .send(Readable.from(pieces));
}
