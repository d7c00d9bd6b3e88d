# deepinfomax.
#
#   docker build -t deepinfomax .
#   docker run --rm -v "$PWD:/data" deepinfomax quickstart
#   docker run --rm -v "$PWD:/data" deepinfomax explore images
#
# On Linux this installs the CUDA build of PyTorch: docker run --gpus all ... uses an NVIDIA GPU. The build for the CPU
# is a tenth as large; it is had by passing the index that pytorch.org names for it, or any other option of pip:
#   docker build --build-arg PIP_ARGS="--extra-index-url ADDRESS" -t deepinfomax .
FROM python:3.12-slim

ARG PIP_ARGS=""
COPY constraints.txt pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN pip install --no-cache-dir $PIP_ARGS -c /src/constraints.txt "/src[explore,onnx]" && rm -rf /src

# Runs land in the folder that is mounted; decoded images stay in it too, so that a second run finds them.
ENV DEEPINFOMAX_CACHE=/data/.deepinfomax-cache MPLCONFIGDIR=/data/.deepinfomax-cache/matplotlib
WORKDIR /data
ENTRYPOINT ["deepinfomax"]
CMD ["doctor"]
