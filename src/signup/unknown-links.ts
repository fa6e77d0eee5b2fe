/** What a page says of a link to leave by which nobody could be taken off. */
export const UNKNOWN_LINKS = {
  not_ours: {
    heading: 'This link is not complete',
    message: 'Please open the link from the mail again, whole. Every mail has one at its end.',
  },
  lost: {
    heading: 'We do not know this mail any more',
    message:
      'So we cannot tell which address is yours. Please reply to the mail and write that you want no more of them: its sender will take you off.',
  },
} as const;
