import { Controller, Get, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../../infra/http/api-route.js';
import { ForecastService } from './forecast.service.js';
import type { Band } from './outlook.js';

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
const money = z.object({ amountMinor: z.number().int(), currency: z.string() });

const forecastResponse = z.object({
  band: z.number().int(),
  people: z
    .number()
    .int()
    .meta({ description: 'In sequences now. Nobody who joins later is in the forecast.' }),
  mails: z.array(band.extend({ date: z.string() })),
  mailsInAll: band,
  income: z
    .array(z.object({ currency: z.string(), expected: money, low: money, high: money }))
    .meta({ description: 'What people pay: refunds, fees and commissions are not taken off.' }),
  basis: z
    .object({
      mails: z.number().int(),
      purchases: z.number().int(),
      left: z.number().int(),
      days: z.number().int(),
    })
    .meta({ description: 'What the shares of ways, leaving and buying were measured by.' }),
});

@Controller('api/v1/forecast')
export class ForecastController {
  constructor(private readonly forecasts: ForecastService) {}

  @Get()
  @ApiRoute({
    summary: 'Forecast mails a day and income',
    description: 'From the people who are in sequences now and what was measured here in the last year.',
    tag: 'analytics',
    response: forecastResponse,
  })
  async get(
    @Query({ schema: forecastQuery }) { days, band: percent }: z.output<typeof forecastQuery>,
  ): Promise<z.output<typeof forecastResponse>> {
    const { dates, mails, mailsInAll, income, people, basis } = await this.forecasts.forecast({
      days,
      level: percent / 100,
    });
    return {
      band: percent,
      people,
      mails: mails.map((one, day) => ({ date: dates[day] ?? '', ...rounded(one) })),
      mailsInAll: rounded(mailsInAll),
      income: income.map(({ currency, amount }) => {
        const inMoney = (amountMinor: number) => ({ amountMinor: Math.round(amountMinor), currency });
        const { expected, low, high } = amount;
        return { currency, expected: inMoney(expected), low: inMoney(low), high: inMoney(high) };
      }),
      basis,
    };
  }
}

/** To a tenth of a mail. */
function rounded({ expected, low, high }: Band): Band {
  return { expected: Math.round(expected * 10) / 10, low, high };
}
