# One image for every role; compose.yaml runs it for real. To try it out, with a database of its own in the volume:
#   docker build -t wellspring .
#   docker run -p 127.0.0.1:3000:3000 -v wellspring:/data wellspring
ARG NODE_IMAGE=node:24-bookworm-slim

# What runs needs, and nothing of what builds and tests.
FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-audit --no-fund

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# A package of the tests would fetch a MongoDB after it is installed.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY nest-cli.json tsconfig.json tsconfig.build.json ./
COPY config ./config
COPY src ./src
RUN npm run build

FROM ${NODE_IMAGE}
# The kernel spares process 1 a signal that it has not asked for: without tini, a stop during the start would be lost.
RUN apt-get update \
  && apt-get install -y --no-install-recommends tini \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY templates ./templates
COPY config/funnels ./config/funnels
COPY config/personas ./config/personas
COPY config/healthcheck.mjs ./config/healthcheck.mjs
RUN printf '#!/bin/sh\nexec node --enable-source-maps /app/dist/src/cli.js "$@"\n' > /usr/local/bin/wellspring \
  && chmod 755 /usr/local/bin/wellspring \
  && install -d -o node -g node -m 700 /data

# Root owns the program; whoever gets into it cannot change it. PostgreSQL refuses to run as root anyway.
USER node
ENV HOST=0.0.0.0 DATA_DIR=/data
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=5s --start-period=120s CMD ["node", "config/healthcheck.mjs"]
# SIGTERM lets requests and mails under way finish, which may take half a minute: docker stop --time 60.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--"]
CMD ["node", "--enable-source-maps", "dist/src/main.js"]
