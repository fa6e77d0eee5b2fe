import { Controller, Get, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { ForecastService } from './forecast.service.js';
import type { Amounts, Band } from './outlook.js';
import { money } from '../../infra/http/money.schemas.js';

const MOST_DAYS = 90;
const forecastQuery = z.strictObject({
  days: z.coerce
    .number()
    .int()
    .min(1)
    .max(MOST_DAYS)
    .default(30)
    .meta({ description: 'Days to look ahead, the rest of today being the first.' }),
  band: z.coerce
    .number()
    .int('use a whole number of percent from 50 to 99')
    .min(50)
    .max(99)
    .default(80)
    .meta({ description: 'In how many of 100 forecasts the truth is to lie between low and high.' }),
});

const count = z.number().min(0);
const band = z.object({ expected: count, low: count, high: count });

const amounts = {
  mails: z.array(band.extend({ date: z.string() })),
  mailsInAll: band,
  income: z.array(z.object({ currency: z.string(), expected: money, low: money, high: money })).meta({
    description:
      'What people pay by the mails and for upsells and downsells after the order; refunds, fees and commissions are not taken off.',
  }),
};
const signUps = z
  .object({ people: z.number().int(), days: z.number().int(), byWeekday: z.boolean() })
  .meta({ description: 'What they are expected by: confirmed sign-ups of the days before today.' });

const forecastResponse = z.object({
  band: z.number().int(),
  people: z
    .number()
    .int()
    .meta({ description: 'In sequences now. The mails and the income beside it are theirs alone.' }),
  ...amounts,
  newcomers: z.object({ ...amounts, people: band, signUps }).meta({
    description:
      'Of those who are expected to sign up, at the rate of the last weeks; with the band of that rate.',
  }),
  inAll: z.object(amounts).meta({
    description: 'Of both, and of the mails that wait. Bands do not add up: both are seldom high at once.',
  }),
  waiting: z.array(z.object({ date: z.string(), mails: z.number().int() })).meta({
    description:
      'Mails that are written and wait for their time, such as those of a broadcast, on days with any.',
  }),
  basis: z
    .object({
      mails: z.number().int(),
      purchases: z.number().int(),
      left: z.number().int(),
      upsellsShown: z.number().int(),
      upsellsTaken: z.number().int(),
      days: z.number().int(),
    })
    .meta({ description: 'What the shares of ways, leaving, buying and taking upsells were measured by.' }),
  leavesOut: z
    .array(z.object({ what: z.string(), why: z.string() }))
    .meta({ description: 'What is not in the forecast, and why.' }),
});

@Controller('api/v1/forecast')
export class ForecastController {
  constructor(private readonly forecasts: ForecastService) {}

  @Get()
  @ApiRoute({
    summary: 'Forecast mails a day and income',
    description:
      'From the people who are in sequences now, those who are expected to sign up, and what was measured here in the last year.',
    tag: 'analytics',
    response: forecastResponse,
  })
  async get(
    @Query({ schema: forecastQuery }) { days, band: percent }: z.output<typeof forecastQuery>,
  ): Promise<z.output<typeof forecastResponse>> {
    const { dates, people, basis, leavesOut, waiting, newcomers, inAll, signUps, ...own } =
      await this.forecasts.forecast({
        days,
        level: percent / 100,
      });
    return {
      ...{ band: percent, people, ...amountsJson(own, dates) },
      newcomers: { ...amountsJson(newcomers, dates), people: rounded(newcomers.people), signUps },
      ...{ inAll: amountsJson(inAll, dates), basis, leavesOut: [...leavesOut] },
      waiting: waiting
        .map((mails, day) => ({ date: dates[day] ?? '', mails }))
        .filter(({ mails }) => mails > 0),
    };
  }
}

function amountsJson({ mails, mailsInAll, income }: Amounts, dates: readonly string[]) {
  return {
    mails: mails.map((one, day) => ({ date: dates[day] ?? '', ...rounded(one) })),
    mailsInAll: rounded(mailsInAll),
    income: income.map(({ currency, amount }) => {
      const inMoney = (amountMinor: number) => ({ amountMinor: Math.round(amountMinor), currency });
      const { expected, low, high } = amount;
      return { currency, expected: inMoney(expected), low: inMoney(low), high: inMoney(high) };
    }),
  };
}

/** To a tenth of a mail. */
function rounded({ expected, low, high }: Band): Band {
  return { expected: Math.round(expected * 10) / 10, low, high };
}
