import type { Command } from 'commander';
import type { StepPreview, StepPreviewWanted } from '../sequences/previews/mail-previews.service.js';
import type { CommandTools } from './command-tools.js';

export function addPreviewCommand(program: Command, { within, print }: CommandTools): void {
  program
    .command('preview')
    .description('show a mail as one subscriber would get it now; sends nothing')
    .argument('<template>', 'such as emails/welcome')
    .requiredOption('--to <subscriber>', 'address or id of the subscriber')
    .option('--funnel <key>', 'whose mail it is; by default the first that sends it')
    .option('--step <key>', 'that sends it; by default the first')
    .option('--arm <key>', 'of the split test it is in; by default the first')
    .option('--json')
    .action(
      async (
        template: string,
        { to, json = false, ...which }: { to: string; json?: boolean } & StepPreviewChoice,
      ) =>
        within(async ({ mailPreviews, subscribers }) => {
          const { id } = await subscribers.named(to);
          const shown = await mailPreviews.preview({ template, ...which, subscriberId: id });
          print(json, shown, () => previewInWords(shown));
        }),
    );
}

type StepPreviewChoice = Pick<StepPreviewWanted, 'funnel' | 'step' | 'arm'>;

function previewInWords({ subject, text, step, arm, arms, invented }: StepPreview): string {
  const rest = arms.filter((one) => one !== arm).join(', ');
  return [
    `Subject: ${subject}`,
    ...(step === null ? [] : [`Step: ${step}`]),
    ...(arm === null ? [] : [`Arm: ${arm} of a split test; the others: ${rest}`]),
    ...(invented.length === 0 ? [] : [`Examples, as nobody can know them before: ${invented.join(', ')}`]),
    '',
    text,
  ].join('\n');
}
