import { SMTPServer } from 'smtp-server';

/**
 * Greets at once. The library waits 100 ms for those who talk too soon, as spammers do; here every connection of our own sender
 * would pay for that.
 */
export class PromptSmtpServer extends SMTPServer {
  override connect(...[socket, options]: Parameters<SMTPServer['connect']>): void {
    super.connect(socket, options);
    const connection = [...this.connections].at(-1);
    connection?.connectionReady();
    if (connection) connection.connectionReady = () => undefined;
  }
}
