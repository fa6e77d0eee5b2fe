import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import { ADDRESS_LINK_HOURS } from '../../privacy/address-links.service.js';
import { AddressRequests } from '../../privacy/address-requests.service.js';
import { NewAddressService } from '../../signup/new-address.service.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { type FormProblem, messagesOf, refusalOf } from '../forms/form-problems.schemas.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { typedTexts } from '../forms/typed-text.js';

const MAX_CHARS = 300;
const LABEL = 'New address';

/** Another address for a person: at once, or once they have pressed the button of a mail there. */
@Controller('admin/subscribers/:id/address')
export class PersonAddressController {
  constructor(
    private readonly subscribers: SubscribersService,
    private readonly newAddress: NewAddressService,
    private readonly requests: AddressRequests,
  ) {}

  @Get()
  async show(@Param('id') id: string): Promise<Answer> {
    return this.form(id, { typed: { email: '', note: '', how: 'asked' }, problems: [] });
  }

  @Post()
  async change(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const subscriber = await this.subscribers.get(checkedId(id, 'subscriber'));
    const text = typedTexts(body, MAX_CHARS);
    const typed = { email: text('email'), note: text('note'), how: text('how') === 'now' ? 'now' : 'asked' };
    const email = parseEmailAddress(typed.email);
    const wrong = (message: string): FormProblem[] => [{ name: 'email', label: LABEL, message }];
    if (!email.ok)
      return this.form(id, { typed, problems: wrong(`this is no email address: ${email.reason}`) });
    try {
      if (typed.how === 'now') {
        const evidence = { source: 'owner', pageUrl: 'owner', note: typed.note || undefined } as const;
        await this.newAddress.changeOrRefuse(id, email, evidence);
        return new SeeOther(`/admin/subscribers/${id}`);
      }
      const asked = await this.requests.ask(subscriber, email, 'owner');
      await this.newAddress.refuse(id, email, asked);
      if (asked === 'same') return await this.form(id, { typed, problems: wrong('they have it already') });
      return await this.form(id, { typed, problems: [], asked: email.address });
    } catch (error) {
      const problems = refusalOf(error, {}).map((one) => ({ ...one, name: 'email', label: LABEL }));
      return this.form(id, { typed, problems });
    }
  }

  /** Throws `SUBSCRIBER_NOT_FOUND`. */
  private async form(
    id: string,
    shown: { typed: Record<string, string>; problems: FormProblem[]; asked?: string },
  ): Promise<Answer> {
    const subscriber = await this.subscribers.get(checkedId(id, 'subscriber'));
    const view = { subscriber, ...shown, errors: messagesOf(shown.problems), hours: ADDRESS_LINK_HOURS };
    return new Page('subscriber-address', view, shown.problems.length > 0 ? 422 : 200);
  }
}
