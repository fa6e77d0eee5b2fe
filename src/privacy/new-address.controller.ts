import { Controller, Get, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPrivatePage } from '../infra/http/send-page.js';
import { maskEmailAddress } from '../values/email-address.js';
import { ADDRESS_LINK_HOURS, BACK_DAYS, type AddressPurpose } from './address-links.service.js';
import { AddressRequests, type Pressed } from './address-requests.service.js';
import { PersonalLetters } from './personal-letters.service.js';
import { footerOf } from './preferences.js';
import type { Where } from './preferences.service.js';

/** Whoever sees these has the mail: to say that the address is somebody else's tells nobody else so. */
const REFUSED = {
  taken: {
    status: 409,
    heading: 'This address has a subscription of its own',
    message: 'It cannot be taken for another one. Mails to it go on as they are.',
  },
  suppressed: {
    status: 409,
    heading: 'This address cannot be used',
    message: 'Mail to it came back, or its owner wants none from here. Please ask for another one.',
  },
  over: {
    status: 410,
    heading: 'This link has been used',
    message: 'The address was changed since, or nothing is kept about you any more.',
  },
  not_ours: {
    status: 404,
    heading: 'This link is not complete',
    message: 'Please open the link from the mail again, whole.',
  },
} as const;

const EXPIRED = {
  'new-address': `The link works for ${ADDRESS_LINK_HOURS} hours. Ask for a new one on the page of your preferences.`,
  'address-back': `The link works for ${BACK_DAYS} days. Please answer one of our mails, and its sender will see to it.`,
} as const;

/** The links of mails about a change of address. Scanners open every link, so opening one changes nothing: the button does. */
@Controller()
export class NewAddressController {
  constructor(
    private readonly requests: AddressRequests,
    private readonly letters: PersonalLetters,
    private readonly pages: PageRenderer,
  ) {}

  @Get('new-address/:token')
  async show(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const looked = await this.requests.look('new-address', token);
    await this.answer(reply, { purpose: 'new-address', token, pressed: looked, isDone: isChanged(looked) });
  }

  @Post('new-address/:token')
  async confirm(
    @Param('token') token: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const pressed = await this.requests.confirm(token, whereOf(request));
    await this.answer(reply, { purpose: 'new-address', token, pressed, isDone: true });
  }

  @Get('address-back/:token')
  async showBack(@Param('token') token: string, @Res() reply: FastifyReply): Promise<void> {
    const looked = await this.requests.look('address-back', token);
    await this.answer(reply, { purpose: 'address-back', token, pressed: looked, isDone: false });
  }

  @Post('address-back/:token')
  async takeBack(
    @Param('token') token: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const pressed = await this.requests.takeBack(token, whereOf(request));
    await this.answer(reply, { purpose: 'address-back', token, pressed, isDone: true });
  }

  private async answer(
    reply: FastifyReply,
    shown: { purpose: AddressPurpose; token: string; pressed: Pressed; isDone: boolean },
  ): Promise<void> {
    const { purpose, token, pressed, isDone } = shown;
    if (pressed.kind !== 'done') return this.refused(reply, purpose, pressed.kind);
    const { subscriberId, email, emailBefore } = pressed.change;
    const view = {
      ...{ purpose, isDone, action: `/${purpose}/${token}` },
      address: maskEmailAddress(purpose === 'new-address' ? email : (emailBefore ?? '')),
      addressNew: maskEmailAddress(email),
      ...footerOf(await this.letters.senderName(subscriberId)),
    };
    sendPrivatePage(reply, 200, await this.pages.render('pages/new-address', view));
  }

  private async refused(
    reply: FastifyReply,
    purpose: AddressPurpose,
    kind: Exclude<Pressed['kind'], 'done'>,
  ): Promise<void> {
    const view =
      kind === 'expired'
        ? { status: 410, heading: 'This link has expired', message: EXPIRED[purpose] }
        : REFUSED[kind];
    sendPrivatePage(reply, view.status, await this.pages.render('pages/error', view));
  }
}

function isChanged(looked: Pressed): boolean {
  return looked.kind === 'done' && looked.change.changedAt !== null;
}

function whereOf(request: FastifyRequest): Where {
  return { ip: request.ip, userAgent: request.headers['user-agent'] ?? '' };
}
