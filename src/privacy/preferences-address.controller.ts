import { Body, Controller, Param, Post, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { parseEmailAddress } from '../values/email-address.js';
import { AddressRequests, type Asked } from './address-requests.service.js';
import { PreferencesPage } from './preferences-page.service.js';

const addressForm = z.object({ email: z.string().max(1_000) });

/** Whether an address is known here or gets no mails is told to nobody who types it. */
const NOTICES = {
  asked: 'address-asked',
  taken: 'address-asked',
  suppressed: 'address-asked',
  same: 'address-same',
  often: 'address-often',
  held: 'address-held',
} as const satisfies Record<Asked, string>;

/** Another address, asked for on the page of preferences. Nothing changes by it: the button of the mail does that. */
@Controller('preferences')
export class PreferencesAddressController {
  constructor(
    private readonly pages: PreferencesPage,
    private readonly requests: AddressRequests,
  ) {}

  @Post(':token/address')
  async ask(
    @Param('token') token: string,
    @Body({ schema: z.unknown() }) body: unknown,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const person = await this.pages.known(token, reply);
    if (!person) return;
    const typed = addressForm.safeParse(body).data?.email;
    if (typed === undefined) return this.pages.after(reply, token, null);
    const email = parseEmailAddress(typed);
    const address = email.ok ? { typed } : { typed, problem: email.reason };
    const notice = email.ok ? NOTICES[await this.requests.ask(person, email, 'page')] : null;
    await this.pages.show(reply, { token, person, notice, address });
  }
}
