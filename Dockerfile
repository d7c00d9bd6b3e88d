# deepinfomax on the CPU.
#
#   docker build -t deepinfomax .
#   docker run --rm -v "$PWD:/work" deepinfomax quickstart
#   docker run --rm -v "$PWD:/work" deepinfomax explore images
#
# With an NVIDIA GPU: docker build --build-arg TORCH=cuda -t deepinfomax . and docker run --gpus all ...
FROM python:3.12-slim

# Of the two builds of PyTorch the one for the CPU is a tenth of the other.
ARG TORCH=cpu
COPY constraints.txt pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN if [ "$TORCH" = cpu ]; then INDEX="--extra-index-url https://download.pytorch.org/whl/cpu"; fi \
 && pip install --no-cache-dir $INDEX -c /src/constraints.txt "/src[explore,onnx]" \
 && rm -rf /src

# Runs land in the folder that is mounted; decoded images stay in it too, so that a second run finds them.
ENV DEEPINFOMAX_CACHE=/work/.deepinfomax-cache MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
ENTRYPOINT ["deepinfomax"]
CMD ["doctor"]
