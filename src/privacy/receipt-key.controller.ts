import { Controller, Get, Header, Inject } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { receiptKey, type ReceiptPublicKey } from './consent-receipt.js';

/** The public half of the key behind consent receipts, where JOSE libraries look for it (RFC 7517 §5). */
@Controller('.well-known')
export class ReceiptKeyController {
  constructor(@Inject(CONFIG) private readonly config: Config) {}

  @Get('jwks.json')
  @Header('cache-control', 'public, max-age=3600')
  keys(): { keys: ReceiptPublicKey[] } {
    return { keys: [receiptKey(this.config.secretKey).publicKey] };
  }
}
