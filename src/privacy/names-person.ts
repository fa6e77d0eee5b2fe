/** Whether a part of an answer of ours names the person, by their address or their number. */
export function namesPerson(
  answer: unknown,
  person: { id: string; email: string; emailKey: string },
): boolean {
  if (typeof answer === 'string') {
    const text = answer.toLowerCase();
    return text.includes(person.emailKey) || text.includes(person.email.toLowerCase());
  }
  if (typeof answer !== 'object' || answer === null) return false;
  const isTheirs = 'subscriberId' in answer && answer.subscriberId === person.id;
  return isTheirs || Object.values(answer).some((part) => namesPerson(part, person));
}
